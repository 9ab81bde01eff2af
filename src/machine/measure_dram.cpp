#include <atomic>
#include <cstring>

#include "base/units.h"
#include "machine/measure.h"
#include "memory/host_region.h"

namespace spillway::machine {
namespace {

constexpr int kRepeats = 5;
constexpr size_t kGrain = kMiB;

// One word of every cache line is enough to bring the line. Four streams, each called in ahead of
// use: one alone does not keep enough lines on their way.
uint64_t read_lines(const std::byte* data, size_t bytes) {
  constexpr size_t kLine = 64;
  constexpr size_t kAhead = 2 * kKiB;
  constexpr size_t kStreams = 4;
  const size_t part = bytes / kStreams;
  uint64_t total = 0;
  for (size_t at = 0; at + kLine <= part; at += kLine) {
    for (size_t stream = 0; stream < kStreams; ++stream) {
      const std::byte* line = data + stream * part + at;
      __builtin_prefetch(line + kAhead);
      uint64_t word = 0;
      std::memcpy(&word, line, sizeof(word));
      total += word;
    }
  }
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
      total += read_lines(bytes.data() + begin, end - begin);
    });
    const double seconds = platform.clock().seconds() - started;
    // A virtual clock does not see computing: any positive rate will do there.
    best = std::max(best, static_cast<double>(bytes.size()) / std::max(seconds, 1e-9));
  }
  if (total.load() == 0) return fail(ErrorCode::kMachine, "the memory measurement read nothing");
  return best;
}

}  // namespace spillway::machine
