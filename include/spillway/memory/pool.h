// A GPU's memory and the host's as one pool: regions of stable addresses over both, within a budget
// for each. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "spillway/memory/budget.h"
#include "spillway/memory/region.h"
#include "spillway/memory/report.h"
#include "spillway/types.h"

namespace spillway::platform {
class Gpu;
class Platform;
}  // namespace spillway::platform

namespace spillway::memory {

struct PoolState;

struct PoolOptions {
  // Caps on what this process holds, the driver's context and pooled handles included. None: 0.9 of
  // what is free when the pool is made.
  std::optional<uint64_t> hbm_budget_bytes = std::nullopt;
  std::optional<uint64_t> host_budget_bytes = std::nullopt;
  // Handles that regions gave back and that are kept for the next, in each tier at most.
  uint64_t kept_bytes = uint64_t{256} << 20;
  // Regions lie in managed memory, whose pages the driver moves when they fault: RMM's recipe, for
  // machines whose GPU uses the host's page tables. Elsewhere all of it must fit into the GPU's
  // memory, and one pool a GPU can be managed. What regions promise is the same; extents cannot be
  // discarded.
  bool managed = false;
};

// Since the pool was made.
struct PoolStatistics : Activity {
  uint64_t handles_created = 0;
  uint64_t handles_reused = 0;
  uint64_t driver_calls = 0;
};

class Pool {
 public:
  // The n-th GPU of this machine. kMachine: no driver, no GPU at all, or it is too old, busy or
  // lost. kUsage: there are fewer. kBudget: the budget does not hold what the driver needs for
  // itself.
  static Result<std::unique_ptr<Pool>> open(int device, const PoolOptions& options);
  // On a GPU of `device_bytes` that the CPU simulates, for tests and for trying out where there is
  // none: addresses and copies are real, streams are threads, kernels do not run. Without a host
  // budget the host has as many bytes.
  static Result<std::unique_ptr<Pool>> simulate(uint64_t device_bytes, const PoolOptions& options);
  // On a GPU of any kind, which outlives the pool. Without a host budget there is none.
  static Result<std::unique_ptr<Pool>> create(platform::Gpu& gpu, const PoolOptions& options);
  // The same, on an operating system of any kind, which outlives the pool too.
  static Result<std::unique_ptr<Pool>> create(platform::Gpu& gpu, platform::Platform& os,
                                              const PoolOptions& options);
  ~Pool();  // its regions are gone by then
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  Result<std::unique_ptr<Region>> create_region(const RegionOptions& options);

  Budget& budget(Tier tier);  // kHbm or kHost
  // Whether one region can have extents in both tiers.
  bool mixes_tiers() const;
  bool managed() const;
  platform::Gpu& gpu() const;
  platform::Platform& os() const;
  PoolStatistics statistics() const;
  // What lives where, by tag and by region.
  PoolReport report() const;
  // Both budgets' holders, for people.
  std::string explain() const;
  // Gives kept handles back to the driver.
  void trim();

 private:
  friend class PinnedMemory;
  explicit Pool(std::unique_ptr<PoolState> state);
  std::unique_ptr<PoolState> state_;
};

}  // namespace spillway::memory
