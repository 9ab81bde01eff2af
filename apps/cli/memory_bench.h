// The measurements of spillway bench memory, each with its bound from the same run. One thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/units.h"
#include "platform/gpu.h"
#include "platform/platform.h"
#include "spillway/memory.h"

namespace spillway::cli {

inline constexpr size_t kExtent = 32 * kMiB;  // of the regions that are measured

// What was measured, and against what.
struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  double bound = 0;  // in the same unit; 0: there is none
  std::string bound_name;
  std::string note;
};

struct MemoryBenchOptions {
  int device = 0;
  uint64_t bytes = uint64_t{4} << 30;  // that a measurement moves or makes
  uint64_t pinned_bytes = 0;           // of pinned memory; 0: `bytes`
  size_t rounds = 5;
  double seconds = 10;           // of moving at random
  uint64_t moving_bytes = 0;     // the region of that; 0: three times `bytes`
  uint64_t simulated_bytes = 0;  // a simulated GPU of this size instead of a real one
};

double gigabytes_per_second(double bytes, double seconds);

class MemoryBench {
 public:
  static Result<std::unique_ptr<MemoryBench>> create(const MemoryBenchOptions& options);

  // The copy engines between the tiers, both ways.
  Result<std::vector<Figure>> copies();
  // Extents moved under their address, both ways.
  Result<std::vector<Figure>> moves();
  // New extents in host memory that are filled as they come, against the slower of making them and
  // of filling them alone.
  Result<std::vector<Figure>> loading();
  // Memory for new extents, against the driver's calls alone.
  Result<std::vector<Figure>> commits(size_t extent_bytes, memory::Tier tier);
  // Pinned memory on huge pages, against the pages alone.
  Result<std::vector<Figure>> pinned();
  // Allocate and deallocate out of what a stream has free, against the C++ library's new and
  // delete of small blocks: what a hit would cost that kept no account of streams.
  Result<std::vector<Figure>> allocator();
  // A region that moves at random while kernels check every byte of it.
  Result<std::vector<Figure>> moving();

 private:
  // One of an allocator's: which block is replaced by one of so many bytes.
  struct Step {
    size_t index = 0;
    size_t bytes = 0;
  };

  MemoryBench(const MemoryBenchOptions& options, std::unique_ptr<platform::Gpu> gpu,
              std::unique_ptr<platform::Platform> platform);
  // A pool that keeps nothing or as much as it may.
  Result<std::unique_ptr<memory::Pool>> pool(uint64_t bytes, uint64_t kept_bytes);
  double now() const { return platform_->clock().seconds(); }
  Result<double> time_raw_commit(size_t extent_bytes, platform::Place place, uint64_t bytes);
  double time_new_and_delete(std::span<const Step> steps) const;
  Result<double> time_move(memory::Region& region, memory::Tier tier);

  const MemoryBenchOptions options_;
  std::unique_ptr<platform::Gpu> gpu_;
  std::unique_ptr<platform::Platform> platform_;
  double to_hbm_ = 0;  // bytes a second of the copy engine, once measured
  double to_host_ = 0;
};

}  // namespace spillway::cli
