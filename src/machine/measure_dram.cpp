#include <atomic>
#include <cstring>

#include "base/units.h"
#include "machine/measure.h"
#include "memory/host_region.h"

namespace spillway::machine {
namespace {

constexpr int kRepeats = 5;
constexpr size_t kGrain = kMiB;

// Sums the buffer as 64-bit words, in eight chains so that loads and not additions are the limit.
uint64_t sum_words(const std::byte* data, size_t bytes) {
  uint64_t sums[8] = {};
  for (size_t at = 0; at + sizeof sums <= bytes; at += sizeof sums) {
    uint64_t words[8];
    std::memcpy(words, data + at, sizeof words);
    for (size_t i = 0; i < 8; ++i) sums[i] += words[i];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

Result<double> measure_dram(platform::Platform& platform, memory::Budget& budget, ThreadPool& pool,
                            size_t buffer_bytes) {
  SPILLWAY_ASSIGN(const auto buffer,
                  memory::HostRegion::create(platform, budget, memory::Tag::kOther,
                                             "memory measurement", buffer_bytes));
  SPILLWAY_TRY(buffer->make_resident(0, buffer_bytes));
  const std::span<std::byte> bytes = buffer->bytes();
  pool.run(bytes.size(), kGrain,
           [&](size_t begin, size_t end) { std::memset(bytes.data() + begin, 1, end - begin); });
  double best = 0;
  std::atomic<uint64_t> total = 0;  // keeps the sums alive
  for (int i = 0; i < kRepeats; ++i) {
    const double started = platform.clock().seconds();
    pool.run(bytes.size(), kGrain, [&](size_t begin, size_t end) {
      total += sum_words(bytes.data() + begin, end - begin);
    });
    const double seconds = platform.clock().seconds() - started;
    // A virtual clock does not see computing: any positive rate will do there.
    best = std::max(best, static_cast<double>(bytes.size()) / std::max(seconds, 1e-9));
  }
  if (total.load() == 0) return fail(ErrorCode::kMachine, "the memory measurement read nothing");
  return best;
}

}  // namespace spillway::machine
