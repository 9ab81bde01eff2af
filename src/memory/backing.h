// What is behind a region's addresses: how its extents get memory in a tier, and how bytes get from
// one tier to the other. Owned by the region. Calls on one extent come from whoever has claimed it;
// otherwise thread-safe.
#pragma once

#include <cstddef>
#include <memory>

#include "memory/gpu_handle.h"
#include "spillway/memory/region.h"

namespace spillway::memory {

struct PoolState;

class Backing {
 public:
  virtual ~Backing() = default;
  virtual std::byte* data() const = 0;
  // Whether extents may lie in this tier, HBM or host. kUsage: why not, and what to do.
  virtual Result<void> check_tier(Tier tier) const = 0;
  // Whether the memory of the extent at `at` can go back by itself.
  virtual bool gives_back(const std::byte* at) const = 0;
  // Whether bytes change their tier at the address itself: nothing is unmapped and mapped then.
  virtual bool moves_in_place() const = 0;

  // Memory for an extent, charged; undefined bytes. kBudget, kMachine.
  virtual Result<Handle> take(size_t bytes, Tier tier, const Holding& holding) = 0;
  // Puts it at its address, where nobody may touch it yet.
  virtual Result<void> map(std::byte* at, const Handle& handle) = 0;
  // For the GPU: extents side by side in one tier.
  virtual Result<void> allow_access(std::byte* at, size_t bytes, Tier tier) = 0;
  // For the CPU as well: one extent in host memory.
  virtual Result<void> allow_cpu_access(std::byte* at, size_t bytes) = 0;
  // Takes extents side by side away from their addresses.
  virtual Result<void> unmap(std::byte* at, size_t bytes) = 0;
  // Asynchronous: the bytes of the extent at `at` get into `to` out of `from`, which can be read
  // there or not.
  virtual Result<void> copy(std::byte* at, bool readable, Handle& from, Handle& to,
                            Stream stream) = 0;
  // After a copy that failed or is not wanted, and has ended: the bytes are in `from` again.
  virtual Result<void> undo_copy(std::byte* at, const Handle& from) = 0;
  // Gives the addresses back, and all memory that extents could not give back by themselves. The
  // last call; nothing is mapped.
  virtual Result<void> close() = 0;
};

// Of a region whose sizes are rounded already. kUsage: the pool cannot have such a region;
// kMachine.
Result<std::unique_ptr<Backing>> make_backing(PoolState& pool, const RegionOptions& options);

// One kind each.
Result<std::unique_ptr<Backing>> make_handle_backing(PoolState& pool, const RegionOptions& options);
Result<std::unique_ptr<Backing>> make_managed_backing(PoolState& pool,
                                                      const RegionOptions& options);
Result<std::unique_ptr<Backing>> make_registered_backing(PoolState& pool,
                                                         const RegionOptions& options);

}  // namespace spillway::memory
