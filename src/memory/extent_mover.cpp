#include "memory/extent_mover.h"

#include <utility>

#include "base/check.h"

namespace spillway::memory {
namespace {

// Copies under way at once: one in the copy engine, one behind it, and two that are being mapped.
constexpr size_t kMostInFlight = 4;

void keep_first(Result<void>& first, Result<void> next) {
  if (first && !next) first = std::move(next);
}

}  // namespace

Result<void> ExtentMover::move(const std::vector<size_t>& claimed) {
  Result<void> result;
  for (const size_t i : claimed) {
    if (result) result = start(i);
    if (!result) region_.release(i);
    if (in_flight_.size() == kMostInFlight) keep_first(result, finish_oldest());
  }
  while (!in_flight_.empty()) keep_first(result, finish_oldest());
  return result;
}

Result<void> ExtentMover::start(size_t extent) {
  InFlight flight{.extent = extent, .handle = {}, .copied = {}};
  SPILLWAY_ASSIGN(flight.handle,
                  region_.pool.take(region_.options.extent_bytes, target_, region_.holding()));
  if (auto copied = copy_into(extent, flight); !copied) {
    give_back(std::move(flight));
    return copied;
  }
  in_flight_.push_back(std::move(flight));
  return {};
}

Result<void> ExtentMover::copy_into(size_t index, InFlight& flight) {
  PoolState& pool = region_.pool;
  Extent& extent = region_.extents[index];
  const Stream stream = copy_stream();
  SPILLWAY_ASSIGN(std::byte* const to, pool.handles.alias(flight.handle));
  SPILLWAY_TRY(region_.settle(index));
  SPILLWAY_TRY(region_.ensure_mapped(index));
  for (const SharedEvent& use : extent.uses) SPILLWAY_TRY(pool.gpu.wait(stream, use->id()));
  SPILLWAY_TRY(pool.gpu.copy({to, region_.at(index), region_.options.extent_bytes}, stream));
  SPILLWAY_ASSIGN(flight.copied, pool.events.record(stream));
  return {};
}

Stream ExtentMover::copy_stream() const {
  const CopyStreams& streams = region_.pool.streams;
  return target_ == Tier::kHbm ? *streams.to_hbm : *streams.to_host;
}

// After an error a copy may still be under way: then nobody may get the memory at either end.
void ExtentMover::give_back(InFlight flight) {
  PoolState& pool = region_.pool;
  if (pool.gpu.synchronise(copy_stream())) return pool.handles.give(std::move(flight.handle));
  pool.handles.abandon(std::move(flight.handle));
  const std::lock_guard lock(region_.mutex);
  region_.extents[flight.extent].unsettled = copy_stream();
}

Result<void> ExtentMover::finish_oldest() {
  InFlight flight = std::move(in_flight_.front());
  in_flight_.pop_front();
  const size_t extent = flight.extent;
  PoolState& pool = region_.pool;
  auto result = pool.gpu.wait(flight.copied->id());
  if (result) {
    const platform::HandleId arrived = flight.handle.id;
    result = region_.exchange(extent, flight.handle);
    // Here flight.handle is the one that the extent does not have any more, or never got.
    if (flight.handle.id != arrived) count(1);
    pool.handles.give(std::move(flight.handle));
  } else {
    give_back(std::move(flight));
  }
  region_.release(extent);
  return result;
}

Result<void> ExtentMover::commit(ExtentRange range) {
  const auto nowhere = [](const Extent& extent) { return !extent.handle; };
  SPILLWAY_ASSIGN(const std::vector<size_t> claimed, region_.claim_all(range, nowhere));
  auto result = commit_claimed(claimed);
  for (const size_t i : claimed) {
    if (!result) (void)region_.drop(i);
    region_.release(i);
  }
  return result;
}

Result<void> ExtentMover::commit_claimed(const std::vector<size_t>& extents) {
  PoolState& pool = region_.pool;
  const size_t bytes = region_.options.extent_bytes;
  for (const size_t i : extents) {
    SPILLWAY_ASSIGN(Handle handle, pool.take(bytes, target_, region_.holding()));
    const platform::HandleId id = handle.id;
    {
      const std::lock_guard lock(region_.mutex);
      region_.extents[i].handle = std::move(handle);
    }
    SPILLWAY_TRY(pool.gpu.map(region_.at(i), bytes, id));
    const std::lock_guard lock(region_.mutex);
    region_.extents[i].mapping = Mapping::kNoAccess;
  }
  // Access costs as much for many handles in one call as for one.
  for (size_t begin = 0, end = 0; begin < extents.size(); begin = end) {
    end = begin + 1;
    while (end < extents.size() && extents[end] == extents[end - 1] + 1) ++end;
    SPILLWAY_TRY(pool.gpu.allow_access(region_.at(extents[begin]), (end - begin) * bytes,
                                       place_of(target_)));
    const std::lock_guard lock(region_.mutex);
    for (size_t i = begin; i < end; ++i) region_.extents[extents[i]].mapping = Mapping::kReady;
  }
  return {};
}

void ExtentMover::count(size_t extents) {
  PoolState& pool = region_.pool;
  const uint64_t bytes = extents * region_.options.extent_bytes;
  const std::lock_guard lock(pool.mutex);
  (target_ == Tier::kHbm ? pool.moved.extents_to_hbm : pool.moved.extents_to_host) += extents;
  (target_ == Tier::kHbm ? pool.moved.bytes_to_hbm : pool.moved.bytes_to_host) += bytes;
}

}  // namespace spillway::memory
