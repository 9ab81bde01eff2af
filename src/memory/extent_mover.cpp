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
  PoolState& pool = region_.pool;
  const double started = pool.os.clock().seconds();
  auto result = move_all(claimed);
  const double seconds = pool.os.clock().seconds() - started;
  const uint64_t bytes = moved_extents_ * region_.options.extent_bytes;
  if (moved_extents_ > 0 && target_ == Tier::kHbm) {
    pool.add(region_,
             {.extents_to_hbm = moved_extents_, .bytes_to_hbm = bytes, .seconds_to_hbm = seconds});
  } else if (moved_extents_ > 0) {
    pool.add(
        region_,
        {.extents_to_host = moved_extents_, .bytes_to_host = bytes, .seconds_to_host = seconds});
  }
  return result;
}

Result<void> ExtentMover::move_all(const std::vector<size_t>& claimed) {
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
  SPILLWAY_ASSIGN(Handle handle, region_.pool.take(region_, target_));
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
  SPILLWAY_TRY(region_.settle(index));
  for (const SharedEvent& use : extent.uses) SPILLWAY_TRY(pool.gpu.wait(stream, use->id()));
  return region_.backing->copy(region_.at(index), extent.mapping == Mapping::kReady, *extent.handle,
                               handle, stream);
}

Stream ExtentMover::copy_stream() const {
  const CopyStreams& streams = region_.pool.streams;
  return target_ == Tier::kHbm ? *streams.to_hbm : *streams.to_host;
}

// After an error a copy may still be under way: then nobody may get the memory at either end.
void ExtentMover::give_back(std::span<const size_t> extents, std::span<Handle> handles) {
  PoolState& pool = region_.pool;
  const bool ended = pool.gpu.synchronise(copy_stream()).has_value();
  for (size_t i = 0; i < handles.size(); ++i) {
    const Handle& from = *region_.extents[extents[i]].handle;
    const bool undone = ended && region_.backing->undo_copy(region_.at(extents[i]), from);
    undone ? pool.handles.give(std::move(handles[i])) : pool.handles.abandon(std::move(handles[i]));
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
    moved_extents_ += static_cast<size_t>(
        std::count_if(batch.handles.begin(), batch.handles.end(),
                      [this](const Handle& handle) { return handle.tier != target_; }));
    for (Handle& handle : batch.handles) pool.handles.give(std::move(handle));
  } else {
    give_back(batch.extents, batch.handles);
  }
  release(batch.extents);
  return result;
}

Result<void> ExtentMover::commit(const std::vector<size_t>& claimed) {
  auto result = commit_claimed(claimed);
  for (const size_t i : claimed) {
    if (!result) (void)region_.drop(i);
    region_.release(i);
  }
  return result;
}

Result<void> ExtentMover::commit_claimed(const std::vector<size_t>& extents) {
  for (const size_t i : extents) {
    SPILLWAY_ASSIGN(Handle handle, region_.pool.take(region_, target_));
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

}  // namespace spillway::memory
