#include "memory/pool_state.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "memory/extent_mover.h"

namespace spillway::memory {

Worker::Worker() : thread_([this] { run(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
}

void Worker::put(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void Worker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
    }
    lock.lock();
  }
}

CopyStreams::~CopyStreams() {
  for (const auto& stream : {to_hbm, to_host}) {
    if (!stream) continue;
    (void)gpu.synchronise(*stream);
    (void)gpu.destroy_stream(*stream);
  }
}

Result<void> CopyStreams::create() {
  SPILLWAY_ASSIGN(to_hbm, gpu.create_stream());
  SPILLWAY_ASSIGN(to_host, gpu.create_stream());
  return {};
}

PoolState::PoolState(platform::Gpu& driver, platform::Platform& system, const PoolOptions& options)
    : gpu(driver),
      os(system),
      managed(options.managed),
      hbm(Tier::kHbm, options.hbm_budget_bytes.value_or(0)),
      host(Tier::kHost, options.host_budget_bytes.value_or(0)),
      handles(driver, hbm, host, options.kept_bytes),
      events(driver),
      streams(driver) {}

PoolState::~PoolState() {
  close_unclosed();
}

void PoolState::leave_unclosed(std::unique_ptr<Closable> closable) {
  const std::lock_guard lock(mutex);
  unclosed.push_back(std::move(closable));
}

void PoolState::close_unclosed() {
  std::vector<std::unique_ptr<Closable>> again;
  {
    const std::lock_guard lock(mutex);
    again.swap(unclosed);
  }
  std::erase_if(again, [](const auto& closable) { return closable->close().has_value(); });
  const std::lock_guard lock(mutex);
  std::move(again.begin(), again.end(), std::back_inserter(unclosed));
}

void PoolState::give_back_spare(Tier tier) {
  close_unclosed();
  handles.trim(tier);
}

Result<Handle> PoolState::take(const RegionState& region, Tier tier) {
  const auto ask = [&] {
    return region.backing->take(region.options.extent_bytes, tier, region.holding());
  };
  auto handle = ask();
  if (handle) return handle;
  const std::lock_guard alone(making_room);
  give_back_spare(tier);
  handle = ask();
  while (!handle && handle.error().code == ErrorCode::kBudget && tier == Tier::kHbm) {
    SPILLWAY_ASSIGN(const bool evicted, evict_one());
    if (!evicted) break;
    handle = ask();
    if (handle) break;
    handles.trim(tier);  // what was evicted left its handle
    handle = ask();
  }
  return handle;
}

Result<Reservation> PoolState::charge(uint64_t bytes, Tier tier, const Holding& holding) {
  Budget& budget = handles.budget(tier);
  auto charge = budget.reserve(bytes, holding.tag, holding.name);
  if (charge) return charge;
  const std::lock_guard alone(making_room);
  give_back_spare(tier);
  return budget.reserve(bytes, holding.tag, holding.name);
}

void PoolState::add(RegionState& region, const Activity& done) {
  const std::lock_guard lock(mutex);
  region.activity += done;
  activity[static_cast<size_t>(region.options.tag)] += done;
}

void PoolState::forget(RegionState& region) {
  const std::lock_guard lock(mutex);
  std::erase(regions, &region);
}

namespace {

// Regions that evictions may take from; they stay until they are left.
class Candidates {
 public:
  explicit Candidates(PoolState& pool) {
    const std::lock_guard lock(pool.mutex);
    for (RegionState* region : pool.regions) {
      if (region->options.eviction != Eviction::kLeastRecentlyPinned) continue;
      region->enter();
      regions_.push_back(region);
    }
  }
  ~Candidates() {
    for (RegionState* region : regions_) region->leave();
  }
  Candidates(const Candidates&) = delete;
  Candidates& operator=(const Candidates&) = delete;
  const std::vector<RegionState*>& regions() const { return regions_; }

 private:
  std::vector<RegionState*> regions_;
};

// Nobody is at it, needs it where it is, or is bringing it.
bool may_be_evicted(const Extent& e) {
  return e.handle && e.handle->tier == Tier::kHbm && !e.claimed && e.pins == 0 && e.wanted == 0;
}

}  // namespace

Result<bool> PoolState::evict_one() {
  const Candidates candidates(*this);
  for (;;) {
    RegionState* oldest = nullptr;
    size_t extent = 0;
    uint64_t pinned = std::numeric_limits<uint64_t>::max();
    for (RegionState* region : candidates.regions()) {
      const std::lock_guard lock(region->mutex);
      for (size_t i = 0; i < region->extents.size(); ++i) {
        const Extent& e = region->extents[i];
        if (!may_be_evicted(e) || e.last_pinned >= pinned) continue;
        oldest = region;
        extent = i;
        pinned = e.last_pinned;
      }
    }
    if (oldest == nullptr) return false;
    if (!oldest->try_claim_if(extent, may_be_evicted)) continue;  // somebody was quicker
    SPILLWAY_TRY(ExtentMover(*oldest, Tier::kHost).move({extent}));
    add(*oldest, {.evicted_extents = 1});
    return true;
  }
}

}  // namespace spillway::memory
