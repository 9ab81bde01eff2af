// A region's extents and who may touch them now. An extent is either at rest (it may be pinned) or
// claimed by one thread that changes where it lies; who wants to pin it waits for that thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "memory/backing.h"
#include "memory/events.h"
#include "memory/gpu_handle.h"
#include "spillway/memory/pool.h"
#include "spillway/memory/region.h"

namespace spillway::memory {

enum class Mapping {
  kNone,      // nothing lies at the extent's address
  kNoAccess,  // its handle does, and nobody may touch it yet
  kReady
};

struct Extent {
  std::optional<Handle> handle;  // where its bytes lie; none: nowhere
  // Not kReady after a move to host memory, or where the driver failed half-way: who pins it next
  // sees to it.
  Mapping mapping = Mapping::kNone;
  bool cpu = false;  // the CPU may touch it there, too
  bool claimed = false;
  unsigned pins = 0;              // that live
  unsigned wanted = 0;            // calls under way that bring it, or have it where it is, to HBM
  std::vector<SharedEvent> uses;  // launches that may still run, one a stream
  // A copy from here was started, and the driver failed before telling that it has ended: until
  // this stream has, the extent stays as it is.
  std::optional<Stream> unsettled;
  uint64_t last_pinned = 0;  // the pool's clock
};

// Whether an extent that somebody claims may be pinned: what is done to it does not move it.
enum class Pinned { kMustNotBe, kMayBe };

// Extents [first, end).
struct ExtentRange {
  size_t first = 0;
  size_t end = 0;
};

// The longest front of a list of extents that lie side by side and are as wanted.
template <typename Wanted>
std::span<const size_t> side_by_side(std::span<const size_t> extents, Wanted wanted) {
  size_t count = 0;
  while (count < extents.size() && extents[count] == extents.front() + count &&
         wanted(extents[count])) {
    ++count;
  }
  return extents.first(count);
}

// What was given up by its owner and may have to be tried several times to be given back.
struct Closable {
  virtual ~Closable() = default;
  virtual Result<void> close() = 0;
};

struct RegionState : Closable {
  // Sizes are rounded.
  RegionState(PoolState& owner, const RegionOptions& wanted, std::unique_ptr<Backing> behind)
      : pool(owner),
        options(wanted),
        backing(std::move(behind)),
        data(backing->data()),
        extents(options.size_bytes / options.extent_bytes) {}
  ~RegionState() override;  // what was not closed stays charged as long as the pool
  // When nobody else knows the region any more: gives everything back. After an error it may be
  // tried again.
  Result<void> close() override;

  std::byte* at(size_t extent) const { return data + extent * options.extent_bytes; }
  Holding holding() const { return {options.tag, options.name}; }
  // The extents that touch [offset, offset + size). kUsage: outside.
  Result<ExtentRange> touching(size_t offset, size_t size) const;

  // kUsage: no tier of memory, or one that the machine cannot give this region.
  Result<void> check_tier(Tier tier) const;
  Result<void> make_ready(ExtentRange range, bool for_cpu);
  // Under the lock: waits until the range is at rest and mapped. Tells whether it had to.
  Result<bool> wait_until_ready(std::unique_lock<std::mutex>& lock, ExtentRange range,
                                bool for_cpu);
  // Waits for claims to end, then pins. kUsage: an extent lies nowhere, or not in `tier`.
  Result<void> pin(ExtentRange range, std::optional<Tier> tier);
  // `use`: what may still run; none: nothing.
  void unpin(ExtentRange range, const SharedEvent& use);

  // Waits until nobody else has claimed the extent, and claims it if it is as wanted; tells
  // whether. kUsage: it is, but it is pinned.
  template <typename Wanted>
  Result<bool> claim_if(size_t index, Wanted wanted, Pinned may_be_pinned = Pinned::kMustNotBe) {
    std::unique_lock lock(mutex);
    const Extent& extent = extents[index];
    changed.wait(lock, [&] { return !extent.claimed; });
    if (!wanted(extent)) return false;
    if (extent.pins > 0 && may_be_pinned == Pinned::kMustNotBe) return pinned(index);
    return extents[index].claimed = true;
  }
  // All extents of the range that are as wanted, or none.
  template <typename Wanted>
  Result<std::vector<size_t>> claim_all(ExtentRange range, Wanted wanted,
                                        Pinned may_be_pinned = Pinned::kMustNotBe) {
    std::vector<size_t> claimed;
    for (size_t i = range.first; i < range.end; ++i) {
      auto done = claim_if(i, wanted, may_be_pinned);
      if (done && *done) claimed.push_back(i);
      if (done) continue;
      for (const size_t taken : claimed) release(taken);
      return tl::make_unexpected(std::move(done).error());
    }
    return claimed;
  }
  // Without waiting; false also if it is claimed or pinned.
  template <typename Wanted>
  bool try_claim_if(size_t index, Wanted wanted) {
    const std::lock_guard lock(mutex);
    Extent& extent = extents[index];
    if (extent.claimed || extent.pins > 0 || !wanted(std::as_const(extent))) return false;
    return extent.claimed = true;
  }
  // Ends a claim.
  void release(size_t extent);
  // Gives claimed extents, which lie side by side, other handles, which hold their bytes, for
  // those that they have; in HBM they are mapped. On error each extent has its bytes in its handle
  // all the same.
  Result<void> exchange(std::span<const size_t> run, std::span<Handle> handles);
  // Makes a claimed extent's handle lie at its address.
  Result<void> ensure_mapped(size_t extent);
  // Lets the CPU touch a mapped one, too.
  Result<void> ensure_cpu(size_t extent);
  // Takes extents that lie side by side away from their addresses.
  Result<void> unmap(std::span<const size_t> run);
  // Maps the handles of extents that lie side by side and have been unmapped.
  Result<void> map(std::span<const size_t> run);
  void set(std::span<const size_t> run, Mapping mapping);
  // Blocks until no copy that failed half-way touches a claimed extent.
  Result<void> settle(size_t extent);
  // Blocks until no launch uses a claimed extent, nor such a copy.
  Result<void> wait_for_uses(size_t extent);
  // Takes a claimed extent's memory away; its bytes are forgotten. kUsage: the memory cannot go
  // back by itself.
  Result<void> drop(size_t extent);

  tl::unexpected<Error> pinned(size_t extent) const;

  // What always holds for an extent and what, besides, for all of them while the lock is not held;
  // debug builds check it.
  static bool valid(const Extent& extent);
  bool valid() const;

  // Bytes that lie in the tier now.
  uint64_t bytes_in(Tier tier) const;
  // From now on, until it is called with -1, eviction leaves the extents where they are.
  void want(ExtentRange range, int change);

  void enter();
  void leave();

  PoolState& pool;
  const RegionOptions options;
  const std::unique_ptr<Backing> backing;
  std::byte* const data;
  Activity activity;  // under the pool's mutex

  // All writes of extents happen under it; who has claimed one reads it without.
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<Extent> extents;
  size_t visitors = 0;  // moves that have not ended, and evictions that look for an extent
};

}  // namespace spillway::memory
