// Moves extents of one region to a tier, and gives memory to those that have none. Copies run ahead
// on a stream while extents whose bytes have arrived are mapped. One thread at a time.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "memory/pool_state.h"
#include "memory/region_state.h"

namespace spillway::memory {

class ExtentMover {
 public:
  ExtentMover(RegionState& region, Tier target) : region_(region), target_(target) {}

  // Extents that the caller has claimed and that lie in the other tier; ends the claims. On error
  // what has moved stays moved, and all extents have their bytes.
  Result<void> move(const std::vector<size_t>& claimed);
  // Memory for extents that the caller has claimed and that lie nowhere, all or none; ends the
  // claims.
  Result<void> commit(const std::vector<size_t>& claimed);

 private:
  // Extents side by side, and the handles that their bytes are copied to.
  struct Batch {
    std::vector<size_t> extents;
    std::vector<Handle> handles;
    SharedEvent copied;
  };

  Result<void> start(std::span<const size_t> run);
  Result<void> start(size_t extent, Batch& batch);
  Result<void> copy_into(size_t extent, Handle& handle);
  Result<void> finish_oldest();
  Result<void> commit_claimed(const std::vector<size_t>& extents);
  Stream copy_stream() const;
  void give_back(std::span<const size_t> extents, std::span<Handle> handles);
  void release(std::span<const size_t> run);
  Result<void> move_all(const std::vector<size_t>& claimed);

  RegionState& region_;
  const Tier target_;
  std::deque<Batch> batches_;
  size_t moved_extents_ = 0;
};

}  // namespace spillway::memory
