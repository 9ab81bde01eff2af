// How a region's extents come to their addresses, and leave them.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "memory/pool_state.h"
#include "memory/region_state.h"

namespace spillway::memory {

void RegionState::set(std::span<const size_t> run, Mapping mapping) {
  const std::lock_guard lock(mutex);
  for (const size_t i : run) {
    SPILLWAY_DCHECK(extents[i].pins == 0);
    extents[i].mapping = mapping;
    if (mapping == Mapping::kNone) extents[i].cpu = false;
  }
}

// One call for all: the driver's calls cost more than their handles, most of all while it copies.
Result<void> RegionState::unmap(std::span<const size_t> run) {
  while (!run.empty()) {
    const auto mapped =
        side_by_side(run, [this](size_t i) { return extents[i].mapping != Mapping::kNone; });
    if (!mapped.empty()) {
      auto unmapped = backing->unmap(at(mapped.front()), mapped.size() * options.extent_bytes);
      // After an error who pins it next has to see whether it can be reached.
      set(mapped, unmapped ? Mapping::kNone : Mapping::kNoAccess);
      SPILLWAY_TRY(std::move(unmapped));
    }
    run = run.subspan(std::max<size_t>(1, mapped.size()));
  }
  return {};
}

Result<void> RegionState::map(std::span<const size_t> run) {
  for (size_t i = 0; i < run.size(); ++i) {
    SPILLWAY_TRY(backing->map(at(run[i]), *extents[run[i]].handle));
    set(run.subspan(i, 1), Mapping::kNoAccess);
  }
  SPILLWAY_TRY(backing->allow_access(at(run.front()), run.size() * options.extent_bytes,
                                     extents[run.front()].handle->tier));
  set(run, Mapping::kReady);
  return {};
}

Result<void> RegionState::exchange(std::span<const size_t> run, std::span<Handle> handles) {
  for (const size_t i : run) SPILLWAY_CHECK(extents[i].claimed && extents[i].pins == 0);
  if (!backing->moves_in_place()) SPILLWAY_TRY(unmap(run));
  {
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < run.size(); ++i) {
      extents[run[i]].uses.clear();  // the copy came after them
      std::swap(*extents[run[i]].handle, handles[i]);
    }
  }
  if (backing->moves_in_place()) return {};
  // Who moves to HBM wants to read there. What moves out may come back before anybody pins it, and
  // mapping host memory costs more than copying it: that waits for a pin.
  return extents[run.front()].handle->tier == Tier::kHbm ? map(run) : Result<void>();
}

Result<void> RegionState::ensure_mapped(size_t index) {
  const Extent& extent = extents[index];
  SPILLWAY_CHECK(extent.claimed && extent.handle);
  if (extent.mapping == Mapping::kNone) return map({&index, 1});
  if (extent.mapping == Mapping::kNoAccess) {
    SPILLWAY_TRY(backing->allow_access(at(index), options.extent_bytes, extent.handle->tier));
    set({&index, 1}, Mapping::kReady);
  }
  return {};
}

Result<void> RegionState::ensure_cpu(size_t index) {
  if (extents[index].cpu) return {};
  SPILLWAY_TRY(backing->allow_cpu_access(at(index), options.extent_bytes));
  const std::lock_guard lock(mutex);
  extents[index].cpu = true;
  return {};
}

}  // namespace spillway::memory
