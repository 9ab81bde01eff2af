#include "memory/extent_mover.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace spillway::memory {
namespace {

// A batch is what is mapped at once. The driver's calls take about a millisecond while it copies to
// the host, whatever they map: a batch must take longer to copy than to map.
constexpr size_t kBatchBytes = 256 * kMiB;
// One is being copied, the one before it mapped.
constexpr size_t kMostBatches = 2;

bool any_extent(size_t /*extent*/) {
  return true;
}

void keep_first(Result<void>& first, Result<void> next) {
  if (first && !next) first = std::move(next);
}

}  // namespace

Result<void> ExtentMover::move(const std::vector<size_t>& claimed) {
  Result<void> result;
  const size_t most = std::max<size_t>(1, kBatchBytes / region_.options.extent_bytes);
  for (std::span<const size_t> rest = claimed; !rest.empty();) {
    const auto run = side_by_side(rest.first(std::min(most, rest.size())), any_extent);
    rest = rest.subspan(run.size());
    if (result) {
      result = start(run);
    } else {
      release(run);
    }
    if (batches_.size() == kMostBatches) keep_first(result, finish_oldest());
  }
  while (!batches_.empty()) keep_first(result, finish_oldest());
  return result;
}

// As many of the run as can be; on error the others are released.
Result<void> ExtentMover::start(std::span<const size_t> run) {
  PoolState& pool = region_.pool;
  Batch batch;
  Result<void> result;
  for (const size_t extent : run) {
    result = start(extent, batch);
    if (!result) break;
  }
  release(run.subspan(batch.extents.size()));
  if (batch.extents.empty()) return result;
  auto copied = pool.events.record(copy_stream());
  if (copied) {
    batch.copied = *std::move(copied);
    batches_.push_back(std::move(batch));
    return result;
  }
  keep_first(result, tl::make_unexpected(std::move(copied).error()));
  give_back(batch.extents, batch.handles);
  release(batch.extents);
  return result;
}

Result<void> ExtentMover::start(size_t extent, Batch& batch) {
  SPILLWAY_ASSIGN(Handle handle,
                  region_.pool.take(region_.options.extent_bytes, target_, region_.holding()));
  if (auto copied = copy_into(extent, handle); !copied) {
    give_back({&extent, 1}, {&handle, 1});
    return copied;
  }
  batch.extents.push_back(extent);
  batch.handles.push_back(std::move(handle));
  return {};
}

Result<void> ExtentMover::copy_into(size_t index, Handle& handle) {
  PoolState& pool = region_.pool;
  Extent& extent = region_.extents[index];
  const Stream stream = copy_stream();
  SPILLWAY_ASSIGN(std::byte* const to, pool.handles.alias(handle));
  SPILLWAY_TRY(region_.settle(index));
  const std::byte* from = region_.at(index);
  if (extent.mapping != Mapping::kReady) {
    SPILLWAY_ASSIGN(from, pool.handles.alias(*extent.handle));
  }
  for (const SharedEvent& use : extent.uses) SPILLWAY_TRY(pool.gpu.wait(stream, use->id()));
  return pool.gpu.copy({to, from, region_.options.extent_bytes}, stream);
}

Stream ExtentMover::copy_stream() const {
  const CopyStreams& streams = region_.pool.streams;
  return target_ == Tier::kHbm ? *streams.to_hbm : *streams.to_host;
}

// After an error a copy may still be under way: then nobody may get the memory at either end.
void ExtentMover::give_back(std::span<const size_t> extents, std::span<Handle> handles) {
  PoolState& pool = region_.pool;
  const bool ended = pool.gpu.synchronise(copy_stream()).has_value();
  for (Handle& handle : handles) {
    ended ? pool.handles.give(std::move(handle)) : pool.handles.abandon(std::move(handle));
  }
  if (ended) return;
  const std::lock_guard lock(region_.mutex);
  for (const size_t i : extents) region_.extents[i].unsettled = copy_stream();
}

void ExtentMover::release(std::span<const size_t> run) {
  for (const size_t i : run) region_.release(i);
}

Result<void> ExtentMover::finish_oldest() {
  Batch batch = std::move(batches_.front());
  batches_.pop_front();
  PoolState& pool = region_.pool;
  auto result = pool.gpu.wait(batch.copied->id());
  if (result) {
    result = region_.exchange(batch.extents, batch.handles);
    // Here are the handles that the extents do not have any more, or never got.
    count(static_cast<size_t>(
        std::count_if(batch.handles.begin(), batch.handles.end(),
                      [this](const Handle& handle) { return handle.tier != target_; })));
    for (Handle& handle : batch.handles) pool.handles.give(std::move(handle));
  } else {
    give_back(batch.extents, batch.handles);
  }
  release(batch.extents);
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
  for (const size_t i : extents) {
    SPILLWAY_ASSIGN(Handle handle,
                    region_.pool.take(region_.options.extent_bytes, target_, region_.holding()));
    const std::lock_guard lock(region_.mutex);
    region_.extents[i].handle = std::move(handle);
  }
  for (std::span<const size_t> rest = extents; !rest.empty();) {
    const auto run = side_by_side(rest, any_extent);
    SPILLWAY_TRY(region_.map(run));
    rest = rest.subspan(run.size());
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
