#include "memory/region_state.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/units.h"
#include "memory/pool_state.h"

namespace spillway::memory {

RegionState::~RegionState() {
  for (Extent& extent : extents) {
    if (extent.handle) pool.handles.abandon(*std::move(extent.handle));
  }
}

Result<void> RegionState::close() {
  Result<void> result;
  for (size_t i = 0; i < extents.size(); ++i) {
    std::optional<Handle>& handle = extents[i].handle;
    if (!handle) continue;
    auto done = wait_for_uses(i);
    if (done) done = unmap({&i, 1});
    if (!done) {
      result = std::move(done);
    } else if (backing->gives_back(at(i))) {
      pool.handles.give(*std::exchange(handle, std::nullopt));
    }
  }
  SPILLWAY_TRY(std::move(result));
  SPILLWAY_TRY(backing->close());
  for (Extent& extent : extents) {
    if (extent.handle) pool.handles.give(*std::exchange(extent.handle, std::nullopt));
  }
  return {};
}

void RegionState::enter() {
  const std::lock_guard lock(mutex);
  ++visitors;
}

// Notifies under the lock: once it is open, the region may go.
void RegionState::leave() {
  const std::lock_guard lock(mutex);
  --visitors;
  changed.notify_all();
}

Result<ExtentRange> RegionState::touching(size_t offset, size_t size) const {
  const size_t size_bytes = options.size_bytes;
  if (offset > size_bytes || size > size_bytes - offset) {
    return fail(ErrorCode::kUsage, "region '{}': {} bytes at {} reach beyond its {} bytes",
                options.name, size, offset, size_bytes);
  }
  const size_t first = offset / options.extent_bytes;
  return ExtentRange{
      first,
      size == 0 ? first : round_up(offset + size, options.extent_bytes) / options.extent_bytes};
}

Result<void> RegionState::check_tier(Tier tier) const {
  if (tier != Tier::kHbm && tier != Tier::kHost) {
    return fail(ErrorCode::kUsage, "region '{}': {} is no tier of memory", options.name,
                tier_name(tier));
  }
  if (options.only && tier != *options.only) {
    return fail(ErrorCode::kUsage, "region '{}' was made to lie in {} only, not in {}",
                options.name, tier_name(*options.only), tier_name(tier));
  }
  return backing->check_tier(tier);
}

void RegionState::want(ExtentRange range, int change) {
  const std::lock_guard lock(mutex);
  for (size_t i = range.first; i < range.end; ++i)
    extents[i].wanted += static_cast<unsigned>(change);
}

bool RegionState::valid(const Extent& e) {
  if (!e.handle) return e.mapping == Mapping::kNone && !e.cpu && e.pins == 0 && e.uses.empty();
  const bool reached = e.pins == 0 || e.mapping == Mapping::kReady;
  const bool cpus = !e.cpu || (e.mapping != Mapping::kNone && e.handle->tier == Tier::kHost);
  return reached && cpus;
}

bool RegionState::valid() const {
  const std::lock_guard lock(mutex);
  uint64_t held_bytes = 0;
  for (const Extent& extent : extents) {
    // Who has claimed it may be half-way.
    if (!extent.claimed && !valid(extent)) return false;
    if (extent.handle) held_bytes += extent.handle->bytes;
  }
  return held_bytes <= pool.hbm.usage().bytes + pool.host.usage().bytes;
}

uint64_t RegionState::bytes_in(Tier tier) const {
  const std::lock_guard lock(mutex);
  const auto lies_there = [tier](const Extent& e) { return e.handle && e.handle->tier == tier; };
  const auto count = std::count_if(extents.begin(), extents.end(), lies_there);
  return static_cast<uint64_t>(count) * options.extent_bytes;
}

namespace {

// It has memory, but not at its address; for_cpu: or the CPU does not get at it.
bool is_unready(const Extent& e, bool for_cpu) {
  const bool not_cpus = for_cpu && e.handle && e.handle->tier == Tier::kHost && !e.cpu;
  return e.handle && (e.mapping != Mapping::kReady || not_cpus);
}

}  // namespace

// Maps what was moved out, or what a move that failed half-way left.
Result<void> RegionState::make_ready(ExtentRange range, bool for_cpu) {
  const auto unready = [for_cpu](const Extent& e) { return is_unready(e, for_cpu); };
  SPILLWAY_ASSIGN(const std::vector<size_t> claimed, claim_all(range, unready, Pinned::kMayBe));
  Result<void> result;
  for (std::span<const size_t> rest = claimed; !rest.empty() && result;) {
    const Tier tier = extents[rest.front()].handle->tier;
    const auto unmapped = side_by_side(rest, [&](size_t i) {
      return extents[i].mapping == Mapping::kNone && extents[i].handle->tier == tier;
    });
    if (!unmapped.empty()) result = map(unmapped);
    rest = rest.subspan(std::max<size_t>(1, unmapped.size()));
  }
  for (const size_t i : claimed) {
    if (result) result = ensure_mapped(i);
    if (result && for_cpu && extents[i].handle->tier == Tier::kHost) result = ensure_cpu(i);
  }
  for (const size_t i : claimed) release(i);
  return result;
}

Result<bool> RegionState::wait_until_ready(std::unique_lock<std::mutex>& lock, ExtentRange range,
                                           bool for_cpu) {
  const std::span all = std::span(extents).subspan(range.first, range.end - range.first);
  const auto at_rest = [all] {
    return std::none_of(all.begin(), all.end(), [](const Extent& e) { return e.claimed; });
  };
  const auto unready = [for_cpu](const Extent& e) { return is_unready(e, for_cpu); };
  bool had_to = false;
  for (;;) {
    had_to = had_to || !at_rest();
    changed.wait(lock, at_rest);
    if (std::none_of(all.begin(), all.end(), unready)) return had_to;
    had_to = true;
    // Meanwhile it may move again: then once more.
    lock.unlock();
    auto ready = make_ready(range, for_cpu);
    lock.lock();
    if (!ready) return tl::make_unexpected(std::move(ready).error());
  }
}

Result<void> RegionState::pin(ExtentRange range, std::optional<Tier> tier) {
  const double started = pool.os.clock().seconds();
  std::unique_lock lock(mutex);
  SPILLWAY_ASSIGN(const bool stalled, wait_until_ready(lock, range, tier == Tier::kHost));
  const auto begin = extents.begin() + static_cast<ptrdiff_t>(range.first);
  const auto end = extents.begin() + static_cast<ptrdiff_t>(range.end);
  for (auto extent = begin; extent != end; ++extent) {
    if (extent->handle && (!tier || extent->handle->tier == *tier)) continue;
    return fail(ErrorCode::kUsage, "region '{}': extent {} lies {}; make it resident {}first",
                options.name, extent - extents.begin(),
                extent->handle ? fmt::format("in {}", tier_name(extent->handle->tier)) : "nowhere",
                tier ? fmt::format("in {} ", tier_name(*tier)) : "");
  }
  const uint64_t now = ++pool.pin_clock;
  for (auto extent = begin; extent != end; ++extent) {
    SPILLWAY_DCHECK(!extent->claimed && extent->mapping == Mapping::kReady);
    ++extent->pins;
    extent->last_pinned = now;
  }
  lock.unlock();
  if (stalled) {
    pool.add(*this, {.stalls = 1, .stall_seconds = pool.os.clock().seconds() - started});
  }
  return {};
}

void RegionState::unpin(ExtentRange range, const SharedEvent& use) {
  const std::lock_guard lock(mutex);
  for (size_t i = range.first; i < range.end; ++i) {
    Extent& extent = extents[i];
    SPILLWAY_CHECK(extent.pins > 0);
    --extent.pins;
    if (!use) continue;
    // A later event of the same stream says all that an earlier one did.
    std::erase_if(extent.uses,
                  [&](const SharedEvent& earlier) { return earlier->stream() == use->stream(); });
    extent.uses.push_back(use);
  }
}

tl::unexpected<Error> RegionState::pinned(size_t index) const {
  return fail(ErrorCode::kUsage,
              "region '{}': extent {} is pinned {} times; drop the pins before it can move",
              options.name, index, extents[index].pins);
}

void RegionState::release(size_t index) {
  {
    const std::lock_guard lock(mutex);
    SPILLWAY_DCHECK(extents[index].claimed && valid(extents[index]));
    extents[index].claimed = false;
  }
  changed.notify_all();
}

Result<void> RegionState::settle(size_t index) {
  Extent& extent = extents[index];
  if (!extent.unsettled) return {};
  SPILLWAY_TRY(pool.gpu.synchronise(*extent.unsettled));
  const std::lock_guard lock(mutex);
  extent.unsettled.reset();
  return {};
}

Result<void> RegionState::wait_for_uses(size_t index) {
  SPILLWAY_TRY(settle(index));
  Extent& extent = extents[index];
  for (const SharedEvent& use : extent.uses) SPILLWAY_TRY(pool.gpu.wait(use->id()));
  const std::lock_guard lock(mutex);
  extent.uses.clear();
  return {};
}

Result<void> RegionState::drop(size_t index) {
  Extent& extent = extents[index];
  if (!extent.handle) return {};
  SPILLWAY_CHECK(extent.claimed && extent.pins == 0);
  if (!backing->gives_back(at(index))) {
    return fail(ErrorCode::kUsage,
                "region '{}': managed memory goes back with its whole region; destroy that",
                options.name);
  }
  SPILLWAY_TRY(wait_for_uses(index));
  SPILLWAY_TRY(unmap({&index, 1}));
  std::optional<Handle> handle;
  {
    const std::lock_guard lock(mutex);
    handle.swap(extent.handle);
  }
  pool.handles.give(*std::move(handle));
  return {};
}

}  // namespace spillway::memory
