// The disk's rate as a bound wants it: sweeps over the file (256 MiB of it at most), repeated
// between the runs that are judged, the median of each block size and depth. One thread.
#pragma once

#include <map>
#include <vector>

#include "base/result.h"
#include "machine/machine.h"
#include "machine/measure.h"
#include "platform/platform.h"

namespace spillway::cli {

class DiskBound {
 public:
  // Sweeps use at most `staging_bytes` for their buffers. The file outlives this.
  DiskBound(platform::Platform& platform, const platform::File& file, uint64_t staging_bytes);

  // One sweep of every block size and depth; one with as much in flight as ever helps; one through
  // the page cache.
  Result<void> sweep();

  machine::Disk medians() const;  // of the sweeps within the staging
  machine::DiskRate best() const;
  double direct_rate() const;  // median with 64 MiB in flight
  // Median of plain buffered reads of dropped pages; 0 where the pages could not be dropped.
  double buffered_rate() const;
  // best() against the better of those two.
  double share_of_unlimited() const;

 private:
  platform::Platform& platform_;
  const platform::File& file_;
  std::vector<machine::Sweep> grid_;
  std::vector<std::vector<double>> rates_;  // of each grid point
  std::vector<double> direct_;
  std::vector<double> buffered_;
};

}  // namespace spillway::cli
