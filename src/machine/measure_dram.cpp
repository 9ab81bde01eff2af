#include <cstring>

#include "base/units.h"
#include "machine/dram_reader.h"
#include "machine/measure.h"

namespace spillway::machine {
namespace {

constexpr int kRepeats = 5;
constexpr size_t kGrain = kMiB;
constexpr size_t kLine = 64;

// One word of every cache line is enough to bring the line.
uint64_t word_of(const std::byte* line) {
  uint64_t word = 0;
  std::memcpy(&word, line, sizeof(word));
  return word;
}

// Four streams, each called in ahead of use.
uint64_t read_four_streams(const std::byte* data, size_t bytes) {
  constexpr size_t kAhead = 2 * kKiB;
  constexpr size_t kStreams = 4;
  const size_t part = bytes / kStreams;
  uint64_t total = 0;
  for (size_t at = 0; at + kLine <= part; at += kLine) {
    for (size_t stream = 0; stream < kStreams; ++stream) {
      const std::byte* line = data + stream * part + at;
      __builtin_prefetch(line + kAhead);
      total += word_of(line);
    }
  }
  return total;
}

// One stream, called into the second-level cache far ahead and into the first shortly before.
uint64_t read_one_stream(const std::byte* data, size_t bytes) {
  constexpr size_t kFar = 16 * kKiB;
  constexpr size_t kNear = kKiB;
  uint64_t total = 0;
  for (size_t at = 0; at + kLine <= bytes; at += kLine) {
    __builtin_prefetch(data + at + kFar, 0, 2);
    __builtin_prefetch(data + at + kNear, 0, 3);
    total += word_of(data + at);
  }
  return total;
}

}  // namespace

Result<DramReader> DramReader::create(platform::Platform& platform, memory::Budget& budget,
                                      ThreadPool& pool, size_t buffer_bytes) {
  SPILLWAY_ASSIGN(auto buffer, memory::HostRegion::create(platform, budget, memory::Tag::kOther,
                                                          "memory measurement", buffer_bytes));
  SPILLWAY_TRY(buffer->make_resident(0, buffer_bytes));
  const std::span<std::byte> bytes = buffer->bytes();
  pool.run(bytes.size(), kGrain,
           [&](size_t begin, size_t end) { std::memset(bytes.data() + begin, 1, end - begin); });
  return DramReader(platform, pool, std::move(buffer));
}

double DramReader::read(ReadPattern pattern) {
  const auto read_part = pattern == ReadPattern::kFourStreams ? read_four_streams : read_one_stream;
  const std::span<std::byte> bytes = buffer_->bytes();
  const double started = platform_->clock().seconds();
  pool_->run(bytes.size() / kLine, kGrain / kLine, [&](size_t begin, size_t end) {
    const uint64_t sum = read_part(bytes.data() + begin * kLine, (end - begin) * kLine);
    total_->fetch_add(sum, std::memory_order_relaxed);
  });
  const double seconds = platform_->clock().seconds() - started;
  // A virtual clock does not see computing: any positive rate will do there.
  return static_cast<double>(bytes.size()) / std::max(seconds, 1e-9);
}

Result<double> measure_dram(platform::Platform& platform, memory::Budget& budget, ThreadPool& pool,
                            size_t buffer_bytes) {
  SPILLWAY_ASSIGN(DramReader reader, DramReader::create(platform, budget, pool, buffer_bytes));
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    for (const ReadPattern pattern : kReadPatterns) best = std::max(best, reader.read(pattern));
  }
  if (reader.total() == 0) return fail(ErrorCode::kMachine, "the memory measurement read nothing");
  return best;
}

}  // namespace spillway::machine
