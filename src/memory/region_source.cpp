#include "memory/region_source.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/units.h"
#include "platform/gpu.h"
#include "platform/platform.h"

namespace spillway::memory {
namespace {

// Small enough that little is held for nothing, large enough that a driver's call is worth it.
constexpr size_t kExtentBytes = 2 * kMiB;
// Addresses cost nothing; ranges that were given back in pieces must not use them up.
constexpr uint64_t kAddressesPerByte = 2;

// As many as both tiers' budgets can hold, and more, where addresses cost nothing. Managed ones may
// have to fit into the GPU's memory, and never go back in pieces.
Result<uint64_t> address_bytes(Pool& pool, bool spills) {
  const Budget& hbm = pool.budget(Tier::kHbm);
  uint64_t most = std::min(hbm.limit_bytes(), pool.gpu().info().total_bytes);
  if (pool.managed()) most = std::min(most, hbm.free_bytes());
  if (spills) {
    SPILLWAY_ASSIGN(const platform::HostMemory memory, pool.os().host_memory());
    most += std::min(pool.budget(Tier::kHost).limit_bytes(), memory.total_bytes);
  }
  if (!pool.managed()) return kAddressesPerByte * most;
  if (pool.gpu().info().coherent) return most;
  SPILLWAY_ASSIGN(const platform::GpuMemory memory, pool.gpu().memory());
  return std::min(most, round_down(memory.free_bytes, kExtentBytes));
}

}  // namespace

Result<std::unique_ptr<RegionSource>> RegionSource::create(Pool& pool,
                                                           const StreamAllocatorOptions& options) {
  if (options.spills && !pool.mixes_tiers()) {
    return fail(
        ErrorCode::kUsage,
        "'{}' is to spill into host memory, and this machine's driver puts no handles there: "
        "do without, or use a pool of managed memory",
        options.name);
  }
  SPILLWAY_ASSIGN(const uint64_t addresses, address_bytes(pool, options.spills));
  SPILLWAY_ASSIGN(auto region, pool.create_region({.size_bytes = addresses,
                                                   .extent_bytes = kExtentBytes,
                                                   .tag = options.tag,
                                                   .name = options.name}));
  return std::unique_ptr<RegionSource>(new RegionSource(pool, std::move(region), options.spills));
}

RegionSource::RegionSource(Pool& pool, std::unique_ptr<Region> region, bool spills)
    : pool_(pool), region_(std::move(region)), spills_(spills), events_(pool.gpu()) {
  free_.insert({0, region_->extents()});
}

size_t RegionSource::granule_bytes() const {
  return region_->extent_bytes();
}

// The first range that is long enough.
Result<size_t> RegionSource::take_range(size_t extents) {
  const std::lock_guard lock(mutex_);
  for (const PageRun& run : free_.inside({0, region_->extents()})) {
    if (run.pages() < extents) continue;
    free_.erase({run.first, run.first + extents});
    return run.first;
  }
  return fail(ErrorCode::kBudget, "no {} addresses in one piece are left for the allocator",
              format_size(extents * granule_bytes()));
}

Result<std::byte*> RegionSource::spill(size_t bytes) {
  return spills_ ? grow(bytes, Tier::kHost) : SegmentSource::spill(bytes);
}

Result<std::byte*> RegionSource::grow(size_t bytes, Tier tier) {
  const size_t granule = granule_bytes();
  SPILLWAY_CHECK(bytes > 0 && bytes % granule == 0);
  SPILLWAY_ASSIGN(const size_t first, take_range(bytes / granule));
  auto made = region_->make_resident(first * granule, bytes, tier);
  if (made) return region_->data() + first * granule;
  (void)shrink(region_->data() + first * granule, bytes);
  return tl::make_unexpected(std::move(made).error());
}

// What the driver does not take back is not used again: its addresses are not free. Managed extents
// stay as they are until they are wanted again.
size_t RegionSource::shrink(std::byte* start, size_t bytes) {
  const size_t granule = granule_bytes();
  const auto offset = static_cast<size_t>(start - region_->data());
  SPILLWAY_CHECK(offset % granule == 0 && bytes % granule == 0);
  const bool given_back = !pool_.managed() && region_->discard(offset, bytes);
  if (!given_back && !pool_.managed()) return 0;
  const std::lock_guard lock(mutex_);
  free_.insert({offset / granule, (offset + bytes) / granule});
  return given_back ? bytes : 0;
}

Result<Mark> RegionSource::record(Stream stream) {
  SPILLWAY_ASSIGN(auto event, events_.record(stream));
  const std::lock_guard lock(mutex_);
  const Mark mark{next_mark_++};
  marks_.emplace(mark.value, std::move(event));
  return mark;
}

platform::EventId RegionSource::event_of(Mark mark) {
  const std::lock_guard lock(mutex_);
  const auto found = marks_.find(mark.value);
  SPILLWAY_CHECK(found != marks_.end());
  return found->second->id();
}

Result<bool> RegionSource::ended(Mark mark) {
  return pool_.gpu().ended(event_of(mark));
}

Result<void> RegionSource::wait(Mark mark) {
  return pool_.gpu().wait(event_of(mark));
}

void RegionSource::drop(Mark mark) {
  SharedEvent event;
  const std::lock_guard lock(mutex_);
  const auto found = marks_.find(mark.value);
  if (found == marks_.end()) return;
  event = std::move(found->second);
  marks_.erase(found);
}

}  // namespace spillway::memory
