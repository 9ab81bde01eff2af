#include "cli/disk_bound.h"

#include <algorithm>

#include "base/statistics.h"
#include "base/units.h"

namespace spillway::cli {
namespace {

// More in flight than any staging will have.
constexpr machine::Sweep kUnlimited{.block_bytes = 4 * kMiB, .depth = 16};
constexpr machine::Sweep kBuffered{.block_bytes = 4 * kMiB, .depth = 2};
// With a larger share of the file in the page cache, a buffered sweep is no measurement of the
// disk.
constexpr uint64_t kCachedShare = 16;
// A sweep of a large file is a sample of it.
constexpr uint64_t kMostSweep = 256 * kMiB;

}  // namespace

DiskBound::DiskBound(platform::Platform& platform, const platform::File& file,
                     uint64_t staging_bytes)
    : platform_(platform),
      file_(file),
      grid_(machine::sweep_grid(staging_bytes)),
      rates_(grid_.size()) {}

Result<void> DiskBound::sweep() {
  // The sweeps' buffers are the measurement's, not the run's.
  memory::Budget budget(memory::Tier::kHost, UINT64_MAX);
  const auto rate = [&](const platform::File& file, machine::Sweep sweep) {
    const uint64_t times = (file.info().size_bytes + kMostSweep - 1) / kMostSweep;
    sweep.stride_bytes = machine::kSamplePiece * std::max<uint64_t>(1, times);
    return machine::sweep_disk(platform_, budget, file, sweep);
  };
  for (size_t i = 0; i < grid_.size(); ++i) {
    SPILLWAY_ASSIGN(const double measured, rate(file_, grid_[i]));
    rates_[i].push_back(measured);
  }
  SPILLWAY_ASSIGN(const double direct, rate(file_, kUnlimited));
  direct_.push_back(direct);
  SPILLWAY_ASSIGN(const auto cached,
                  platform_.open(file_.info().path, {.caching = platform::Caching::kUse}));
  cached->drop_cache();
  // Somebody who maps the file keeps its pages: reading those says nothing about the disk.
  if (cached->cached_bytes() < file_.info().size_bytes / kCachedShare) {
    SPILLWAY_ASSIGN(const double buffered, rate(*cached, kBuffered));
    buffered_.push_back(buffered);
  }
  cached->drop_cache();
  return {};
}

machine::Disk DiskBound::medians() const {
  machine::Disk disk;
  for (size_t i = 0; i < grid_.size(); ++i) {
    disk.rates.push_back({grid_[i].block_bytes, grid_[i].depth, median(rates_[i])});
  }
  return disk;
}

machine::DiskRate DiskBound::best() const {
  const machine::Disk disk = medians();
  return *std::max_element(disk.rates.begin(), disk.rates.end(), [](const auto& a, const auto& b) {
    return a.bytes_per_second < b.bytes_per_second;
  });
}

double DiskBound::direct_rate() const {
  return median(direct_);
}
double DiskBound::share_of_unlimited() const {
  return best().bytes_per_second / std::max(direct_rate(), buffered_rate());
}

double DiskBound::buffered_rate() const {
  return median(buffered_);
}

}  // namespace spillway::cli
