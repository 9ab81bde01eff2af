#include <algorithm>

#include "base/statistics.h"
#include "base/units.h"
#include "machine/measure.h"
#include "memory/host_region.h"

namespace spillway::machine {
namespace {

constexpr uint64_t kSampleBytes = 32 * kMiB;
// Disks that others share vary from second to second: as many rounds as this time allows.
constexpr size_t kLeastRounds = 3;
constexpr size_t kMostRounds = 9;
constexpr double kMostSeconds = 2.0;
constexpr size_t kSmallestBlock = 4 * kKiB;
// What is read of a longer cycle is about so much, in runs of neighbours of about so much.
constexpr uint64_t kRingSample = 512 * kMiB;
constexpr size_t kMostTurns = 8;  // of a short cycle, less
constexpr uint64_t kRingRun = 32 * kMiB;

std::vector<memory::StreamRange> sample(const std::vector<memory::StreamRange>& cycle) {
  uint64_t total = 0;
  for (const memory::StreamRange& range : cycle) total += range.size;
  const uint64_t times = std::max<uint64_t>(1, total / kRingSample);
  std::vector<memory::StreamRange> taken;
  uint64_t passed = 0;
  for (const memory::StreamRange& range : cycle) {
    if (passed / kRingRun % times == 0) taken.push_back(range);
    passed += range.size;
  }
  return taken;
}

}  // namespace

Result<double> sweep_disk(platform::Platform& platform, memory::Budget& budget,
                          const platform::File& file, const Sweep& sweep) {
  const platform::FileInfo& info = file.info();
  const size_t alignment = std::max(info.offset_alignment, info.memory_alignment);
  const size_t block = round_up(sweep.block_bytes, alignment);
  const uint64_t begin = round_down(sweep.first_byte, alignment);
  const uint64_t end =
      begin + std::min(info.size_bytes - std::min(info.size_bytes, begin), sweep.size_bytes);
  if (begin >= end) return fail(ErrorCode::kBadFile, "{}: nothing to read at {}", info.path, begin);

  SPILLWAY_ASSIGN(const auto buffer,
                  memory::HostRegion::create(platform, budget, memory::Tag::kStaging, "disk sweep",
                                             sweep.depth * block));
  SPILLWAY_TRY(buffer->make_resident(0, sweep.depth * block));
  SPILLWAY_ASSIGN(const auto queue, file.open_queue(sweep.depth));
  const auto read_into = [&](uint64_t offset, uint64_t slot) {
    return queue->submit({offset, buffer->bytes().subspan(slot * block, block), slot});
  };
  const double started = platform.clock().seconds();
  uint64_t next = begin;
  const auto advance = [&] {
    next += block;
    const uint64_t within = (next - begin) % sweep.stride_bytes;
    if (within >= kSamplePiece) next += sweep.stride_bytes - within;
  };
  for (unsigned slot = 0; slot < sweep.depth && next < end; ++slot, advance())
    SPILLWAY_TRY(read_into(next, slot));
  uint64_t bytes = 0;
  while (queue->in_flight() > 0) {
    SPILLWAY_ASSIGN(const platform::ReadCompletion done, queue->wait());
    if (!done.bytes) return fail_within(info.path, done.bytes.error());
    bytes += *done.bytes;
    if (next < end) {
      SPILLWAY_TRY(read_into(next, done.id));
      advance();
    }
  }
  const double seconds = platform.clock().seconds() - started;
  return static_cast<double>(bytes) / std::max(seconds, 1e-9);
}

Result<double> sweep_ring(platform::Platform& platform, memory::Budget& budget,
                          const platform::File& file, const std::vector<memory::StreamRange>& cycle,
                          const memory::StagingRing::Options& ring_options) {
  const std::vector<memory::StreamRange> part = sample(cycle);
  SPILLWAY_ASSIGN(const auto ring,
                  memory::StagingRing::create(platform, budget, file, part, ring_options));
  const auto turn = [&]() -> Result<void> {
    for (size_t entry = 0; entry < part.size(); ++entry) {
      SPILLWAY_TRY(ring->acquire(entry));
      SPILLWAY_TRY(ring->release(entry));
    }
    return {};
  };
  SPILLWAY_TRY(turn());
  const uint64_t before = ring->statistics().bytes_read;
  const double started = platform.clock().seconds();
  for (size_t i = 0; i < kMostTurns; ++i) {
    if (ring->statistics().bytes_read - before >= kRingSample) break;
    SPILLWAY_TRY(turn());
  }
  const double seconds = platform.clock().seconds() - started;
  const uint64_t bytes = ring->statistics().bytes_read - before;
  return static_cast<double>(bytes) / std::max(seconds, 1e-9);
}

std::vector<Sweep> sweep_grid(uint64_t staging_bytes) {
  std::vector<Sweep> grid;
  for (const uint64_t block : {256 * kKiB, 512 * kKiB, kMiB, 2 * kMiB, 4 * kMiB}) {
    for (const unsigned depth : {1U, 2U, 4U, 8U, 16U}) {
      if (block * depth <= staging_bytes) grid.push_back({.block_bytes = block, .depth = depth});
    }
  }
  if (grid.empty()) {
    const size_t block =
        std::max<size_t>(kSmallestBlock, round_down(staging_bytes / 2, kSmallestBlock));
    grid.push_back({.block_bytes = block, .depth = 1});
  }
  return grid;
}

Result<Disk> measure_disk(platform::Platform& platform, memory::Budget& budget,
                          const platform::File& file, uint64_t staging_bytes,
                          const std::atomic<bool>* stop) {
  const std::vector<Sweep> grid = sweep_grid(staging_bytes);
  std::vector<std::vector<double>> rates(grid.size());
  uint64_t at = 0;
  const double started = platform.clock().seconds();
  const auto goes_on = [&](size_t round) {
    return round < kLeastRounds ||
           (round < kMostRounds && platform.clock().seconds() - started < kMostSeconds);
  };
  for (size_t round = 0; goes_on(round); ++round) {
    for (size_t i = 0; i < grid.size(); ++i) {
      if (stop != nullptr && stop->load())
        return fail(ErrorCode::kInterrupted, "interrupted while measuring");
      if (at + kSampleBytes > file.info().size_bytes) at = 0;
      Sweep sweep = grid[i];
      sweep.first_byte = at;
      sweep.size_bytes = kSampleBytes;
      SPILLWAY_ASSIGN(const double rate, sweep_disk(platform, budget, file, sweep));
      rates[i].push_back(rate);
      at += kSampleBytes;
    }
  }
  Disk disk;
  for (size_t i = 0; i < grid.size(); ++i) {
    disk.rates.push_back({grid[i].block_bytes, grid[i].depth, median(rates[i])});
  }
  return disk;
}

}  // namespace spillway::machine
