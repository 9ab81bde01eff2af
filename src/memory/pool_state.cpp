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

PoolState::PoolState(platform::Gpu& driver, uint64_t hbm_bytes, uint64_t host_bytes,
                     uint64_t kept_bytes)
    : gpu(driver),
      hbm(Tier::kHbm, hbm_bytes),
      host(Tier::kHost, host_bytes),
      handles(driver, hbm, host, kept_bytes),
      events(driver),
      streams(driver) {}

Result<Handle> PoolState::take(size_t bytes, Tier tier, const Holding& holding) {
  auto handle = handles.take(bytes, tier, holding);
  while (!handle && handle.error().code == ErrorCode::kBudget && tier == Tier::kHbm &&
         evict_one()) {
    handle = handles.take(bytes, tier, holding);
  }
  return handle;
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

}  // namespace

bool PoolState::evict_one() {
  const Candidates candidates(*this);
  for (;;) {
    RegionState* oldest = nullptr;
    size_t extent = 0;
    uint64_t pinned = std::numeric_limits<uint64_t>::max();
    for (RegionState* region : candidates.regions()) {
      const std::lock_guard lock(region->mutex);
      for (size_t i = 0; i < region->extents.size(); ++i) {
        const Extent& e = region->extents[i];
        const bool may_go = e.handle && e.handle->tier == Tier::kHbm && !e.claimed && e.pins == 0;
        if (!may_go || e.last_pinned >= pinned) continue;
        oldest = region;
        extent = i;
        pinned = e.last_pinned;
      }
    }
    if (oldest == nullptr) return false;
    const auto still_there = [](const Extent& e) {
      return e.handle && e.handle->tier == Tier::kHbm;
    };
    if (!oldest->try_claim_if(extent, still_there)) continue;  // somebody was quicker
    if (!ExtentMover(*oldest, Tier::kHost).move({extent})) return false;
    const std::lock_guard lock(mutex);
    ++moved.evicted_extents;
    return true;
  }
}

}  // namespace spillway::memory
