#include "spillway/memory/region.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "base/check.h"
#include "memory/extent_mover.h"
#include "memory/pool_state.h"
#include "memory/region_state.h"

namespace spillway::memory {

struct Transfer::State {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::optional<Result<void>> result;
};

bool Transfer::ended() const {
  if (!state_) return true;
  const std::lock_guard lock(state_->mutex);
  return state_->result.has_value();
}

Result<void> Transfer::wait() const {
  if (!state_) return {};
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->result.has_value(); });
  return *state_->result;
}

namespace {

// While it lives, nothing evicts what a call brings to HBM, or finds there.
class WantedInHbm {
 public:
  WantedInHbm(RegionState& region, ExtentRange range, Tier tier)
      : region_(region), range_(tier == Tier::kHbm ? range : ExtentRange{}) {
    region_.want(range_, 1);
  }
  ~WantedInHbm() { region_.want(range_, -1); }
  WantedInHbm(const WantedInHbm&) = delete;
  WantedInHbm& operator=(const WantedInHbm&) = delete;

 private:
  RegionState& region_;
  const ExtentRange range_;
};

}  // namespace

Region::Region(std::unique_ptr<RegionState> state) : state_(std::move(state)) {}

Region::~Region() {
  state_->pool.forget(*state_);
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->visitors == 0; });
  for (const Extent& extent : state_->extents) SPILLWAY_CHECK(extent.pins == 0);
  lock.unlock();
  if (state_->close()) return;
  PoolState& pool = state_->pool;
  pool.leave_unclosed(std::move(state_));
}

std::byte* Region::data() const {
  return state_->data;
}
size_t Region::size_bytes() const {
  return state_->options.size_bytes;
}
size_t Region::extent_bytes() const {
  return state_->options.extent_bytes;
}
size_t Region::extents() const {
  return state_->extents.size();
}

std::vector<Residency> Region::residency() const {
  std::vector<Residency> runs;
  const std::lock_guard lock(state_->mutex);
  for (size_t i = 0; i < state_->extents.size(); ++i) {
    const auto& handle = state_->extents[i].handle;
    const auto tier = handle ? std::optional(handle->tier) : std::nullopt;
    if (!runs.empty() && runs.back().tier == tier) {
      runs.back().end = i + 1;
    } else {
      runs.push_back({i, i + 1, tier});
    }
  }
  return runs;
}

Result<void> Region::make_resident(size_t offset, size_t size, Tier tier) {
  SPILLWAY_ASSIGN(const ExtentRange range, state_->touching(offset, size));
  SPILLWAY_TRY(state_->check_tier(tier));
  const WantedInHbm wanted(*state_, range, tier);
  const auto not_there = [tier](const Extent& e) { return !e.handle || e.handle->tier != tier; };
  SPILLWAY_ASSIGN(std::vector<size_t> elsewhere, state_->claim_all(range, not_there));
  const auto first_elsewhere = std::stable_partition(
      elsewhere.begin(), elsewhere.end(), [this](size_t i) { return !state_->extents[i].handle; });
  const std::vector<size_t> nowhere(elsewhere.begin(), first_elsewhere);
  elsewhere.erase(elsewhere.begin(), first_elsewhere);
  auto result = ExtentMover(*state_, tier).commit(nowhere);
  if (result) {
    result = ExtentMover(*state_, tier).move(elsewhere);
  } else {
    for (const size_t i : elsewhere) state_->release(i);
  }
  SPILLWAY_DCHECK(state_->valid());
  return result;
}

Result<Transfer> Region::move(size_t offset, size_t size, Tier tier) {
  SPILLWAY_ASSIGN(const ExtentRange range, state_->touching(offset, size));
  SPILLWAY_TRY(state_->check_tier(tier));
  const auto elsewhere = [tier](const Extent& e) { return e.handle && e.handle->tier != tier; };
  auto wanted = std::make_shared<const WantedInHbm>(*state_, range, tier);  // the worker's as well
  SPILLWAY_ASSIGN(std::vector<size_t> claimed, state_->claim_all(range, elsewhere));
  Transfer transfer;
  if (claimed.empty()) return transfer;  // it waits for nobody
  transfer.state_ = std::make_shared<Transfer::State>();
  state_->enter();
  state_->pool.worker.put([region = state_.get(), extents = std::move(claimed), tier,
                           done = transfer.state_, wanted = std::move(wanted)]() mutable {
    auto result = ExtentMover(*region, tier).move(extents);
    SPILLWAY_DCHECK(region->valid());
    wanted.reset();
    region->leave();
    {
      const std::lock_guard lock(done->mutex);
      done->result = std::move(result);
    }
    done->changed.notify_all();
  });
  return transfer;
}

Result<void> Region::discard(size_t offset, size_t size) {
  SPILLWAY_ASSIGN(ExtentRange range, state_->touching(offset, size));
  if (range.first * extent_bytes() < offset) ++range.first;
  if (range.end * extent_bytes() > offset + size) --range.end;
  for (size_t i = range.first; i < range.end; ++i) {
    const auto held = [](const Extent& extent) { return extent.handle.has_value(); };
    SPILLWAY_ASSIGN(const bool claimed, state_->claim_if(i, held));
    if (!claimed) continue;
    auto dropped = state_->drop(i);
    state_->release(i);
    if (!dropped) return dropped;
  }
  SPILLWAY_DCHECK(state_->valid());
  return {};
}

struct Pin::Held {
  RegionState& region;
  ExtentRange range;
  std::optional<Stream> stream;  // none: the CPU
};

Pin::Pin() = default;
Pin::Pin(Pin&&) noexcept = default;

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  drop();
  held_ = std::move(other.held_);
  data_ = other.data_;
  size_bytes_ = other.size_bytes_;
  return *this;
}

Pin::~Pin() {
  drop();
}

void Pin::drop() {
  if (!held_) return;
  const std::unique_ptr<Held> held = std::move(held_);
  RegionState& region = held->region;
  SharedEvent use;
  if (held->stream) {
    if (auto recorded = region.pool.events.record(*held->stream)) {
      use = *std::move(recorded);
    } else {
      (void)region.pool.gpu.synchronise(*held->stream);
    }
  }
  region.unpin(held->range, use);
}

Result<Pin> Region::pin(size_t offset, size_t size, Stream stream) {
  SPILLWAY_ASSIGN(const ExtentRange range, state_->touching(offset, size));
  SPILLWAY_TRY(state_->pin(range, std::nullopt));
  Pin pin;
  pin.held_ = std::make_unique<Pin::Held>(Pin::Held{*state_, range, stream});
  pin.data_ = data() + offset;
  pin.size_bytes_ = size;
  return pin;
}

Result<Pin> Region::pin_for_host(size_t offset, size_t size) {
  SPILLWAY_ASSIGN(const ExtentRange range, state_->touching(offset, size));
  SPILLWAY_TRY(state_->pin(range, Tier::kHost));
  Pin pin;
  pin.held_ = std::make_unique<Pin::Held>(Pin::Held{*state_, range, std::nullopt});
  pin.data_ = data() + offset;
  pin.size_bytes_ = size;
  return pin;
}

}  // namespace spillway::memory
