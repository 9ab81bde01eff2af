// What a pool's parts share: its GPU, budgets, handles, regions, and the thread that moves extents.
// Owned by the Pool. Thread-safe; no driver call is made under a lock.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "memory/events.h"
#include "memory/gpu_handle.h"
#include "memory/region_state.h"
#include "platform/gpu.h"
#include "platform/platform.h"
#include "spillway/memory/pool.h"

namespace spillway::memory {

// Runs jobs one after the other on a thread of its own.
class Worker {
 public:
  Worker();
  ~Worker();  // after the jobs that it has
  void put(std::function<void()> job);

 private:
  void run();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::function<void()>> jobs_;
  bool stop_ = false;
  std::jthread thread_;  // the last: it ends before what it uses
};

// Streams for copies to each tier; given back at the end.
struct CopyStreams {
  explicit CopyStreams(platform::Gpu& driver) : gpu(driver) {}
  ~CopyStreams();
  CopyStreams(const CopyStreams&) = delete;
  CopyStreams& operator=(const CopyStreams&) = delete;
  Result<void> create();

  platform::Gpu& gpu;
  std::optional<Stream> to_hbm;
  std::optional<Stream> to_host;
};

struct PoolState {
  // Both budgets are given.
  PoolState(platform::Gpu& driver, platform::Platform& system, const PoolOptions& options);
  ~PoolState();
  PoolState(const PoolState&) = delete;
  PoolState& operator=(const PoolState&) = delete;

  // Memory for a region's extent. If the tier is full, what is kept goes, then extents that may.
  Result<Handle> take(const RegionState& region, Tier tier);
  // A charge for memory that is no region's. If the budget is full, what is kept goes.
  Result<Reservation> charge(uint64_t bytes, Tier tier, const Holding& holding);
  // Moves one extent out of HBM that may be; false: there is none.
  Result<bool> evict_one();
  // No eviction begins to look at the region any more.
  void forget(RegionState& region);

  // What its owner has given up and the driver did not take back. Tried again by close_unclosed().
  void leave_unclosed(std::unique_ptr<Closable> closable);
  void close_unclosed();
  // That, and the handles kept in the tier.
  void give_back_spare(Tier tier);
  // Something has happened to the region.
  void add(RegionState& region, const Activity& activity);

  std::unique_ptr<platform::Gpu> owned_gpu;  // where the pool opened it itself
  std::unique_ptr<platform::Platform> owned_os;
  platform::Gpu& gpu;
  platform::Platform& os;
  const bool managed;
  uint64_t free_at_open_bytes = 0;          // of the GPU's memory
  std::atomic<uint64_t> managed_bytes = 0;  // of regions in managed memory, wherever they lie
  Budget hbm;
  Budget host;
  Reservation context;
  HandlePool handles;
  EventPool events;
  CopyStreams streams;

  std::atomic<uint64_t> pin_clock = 0;
  // Held, across calls of the driver, by who makes room in a full tier: others that are short wait
  // for the room that is being made, instead of failing meanwhile. Making room in HBM may need
  // room in the host. Taken before all other locks; nobody else waits for it.
  std::recursive_mutex making_room;
  mutable std::mutex mutex;  // of what follows
  std::vector<RegionState*> regions;
  std::array<Activity, kTags.size()> activity;  // by tag
  std::vector<std::unique_ptr<Closable>> unclosed;

  Worker worker;  // the last: it ends before what it uses
};

}  // namespace spillway::memory
