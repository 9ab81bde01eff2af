#include "memory/gpu_handle.h"

#include <algorithm>
#include <utility>

namespace spillway::memory {
namespace {

size_t index_of(Tier tier) {
  return tier == Tier::kHbm ? 0 : 1;
}

}  // namespace

platform::Place place_of(Tier tier) {
  return tier == Tier::kHbm ? platform::Place::kDevice : platform::Place::kHost;
}

HandlePool::HandlePool(platform::Gpu& gpu, Budget& hbm, Budget& host, uint64_t kept_bytes)
    : gpu_(gpu), hbm_(hbm), host_(host), most_kept_bytes_(kept_bytes) {}

HandlePool::~HandlePool() {
  std::move(abandoned_.begin(), abandoned_.end(), std::back_inserter(refused_));
  trim(Tier::kHbm);
  trim(Tier::kHost);
}

bool HandlePool::pop(size_t bytes, Tier tier, Handle& handle) {
  const std::lock_guard lock(mutex_);
  Kept& all = kept(tier);
  const auto found = std::find_if(all.rbegin(), all.rend(),
                                  [&](const Handle& kept) { return kept.bytes == bytes; });
  if (found == all.rend()) return false;
  handle = std::move(*found);
  all.erase(std::next(found).base());
  kept_bytes_[index_of(tier)] -= bytes;
  ++statistics_.reused;
  return true;
}

Result<Handle> HandlePool::take(size_t bytes, Tier tier, const Holding& holding) {
  Handle handle;
  if (!pop(bytes, tier, handle)) return create(bytes, tier, holding);
  if (auto handed = handle.charge.hand_over(holding.tag, holding.name); !handed) {
    give(std::move(handle));
    return tl::make_unexpected(std::move(handed).error());
  }
  return handle;
}

Result<Handle> HandlePool::take_charge(size_t bytes, Tier tier, const Holding& holding) {
  SPILLWAY_ASSIGN(Reservation charge, budget(tier).reserve(bytes, holding.tag, holding.name));
  return Handle{.id = {}, .tier = tier, .bytes = bytes, .charge = std::move(charge)};
}

Result<Handle> HandlePool::create(size_t bytes, Tier tier, const Holding& holding) {
  SPILLWAY_ASSIGN(Handle handle, take_charge(bytes, tier, holding));
  SPILLWAY_ASSIGN(handle.id, gpu_.create(bytes, place_of(tier)));
  const std::lock_guard lock(mutex_);
  ++statistics_.created;
  return handle;
}

void HandlePool::give(Handle handle) {
  if (handle.id == platform::HandleId{}) return;
  const size_t index = index_of(handle.tier);
  if (handle.charge.hand_over(Tag::kOther, "kept handles")) {
    const std::lock_guard lock(mutex_);
    if (kept_bytes_[index] + handle.bytes <= most_kept_bytes_) {
      kept_bytes_[index] += handle.bytes;
      kept(handle.tier).push_back(std::move(handle));
      return;
    }
  }
  destroy(std::move(handle));
}

void HandlePool::abandon(Handle handle) {
  const std::lock_guard lock(mutex_);
  abandoned_.push_back(std::move(handle));
}

Result<std::byte*> HandlePool::alias(Handle& handle) {
  if (handle.alias_state == AliasState::kNone) {
    SPILLWAY_ASSIGN(handle.alias, gpu_.reserve(handle.bytes, 0));
    handle.alias_state = AliasState::kReserved;
  }
  if (handle.alias_state == AliasState::kReserved) {
    SPILLWAY_TRY(gpu_.map(handle.alias, handle.bytes, handle.id));
    handle.alias_state = AliasState::kMapped;
  }
  if (handle.alias_state == AliasState::kMapped) {
    SPILLWAY_TRY(gpu_.allow_access(handle.alias, handle.bytes, place_of(handle.tier)));
    handle.alias_state = AliasState::kReady;
  }
  return handle.alias;
}

Result<void> HandlePool::destroy_parts(Handle& handle) {
  if (handle.id == platform::HandleId{}) return {};
  if (handle.alias_state >= AliasState::kMapped) {
    SPILLWAY_TRY(gpu_.unmap(handle.alias, handle.bytes));
    handle.alias_state = AliasState::kReserved;
  }
  if (handle.alias_state == AliasState::kReserved) {
    SPILLWAY_TRY(gpu_.free_addresses(handle.alias, handle.bytes));
    handle.alias_state = AliasState::kNone;
  }
  return gpu_.release(handle.id);
}

// A handle that the driver does not take back keeps its charge.
void HandlePool::destroy(Handle handle) {
  if (destroy_parts(handle)) return;
  const std::lock_guard lock(mutex_);
  refused_.push_back(std::move(handle));
}

uint64_t HandlePool::trim(Tier tier) {
  Kept going;
  {
    const std::lock_guard lock(mutex_);
    going = std::exchange(kept(tier), {});
    kept_bytes_[index_of(tier)] = 0;
    const auto again =
        std::stable_partition(refused_.begin(), refused_.end(),
                              [&](const Handle& handle) { return handle.tier != tier; });
    std::move(again, refused_.end(), std::back_inserter(going));
    refused_.erase(again, refused_.end());
  }
  uint64_t bytes = 0;
  for (Handle& handle : going) {
    bytes += handle.bytes;
    destroy(std::move(handle));
  }
  return bytes;
}

HandleStatistics HandlePool::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace spillway::memory
