// A region: one range of addresses that never change, whose extents lie in HBM, in host memory, or
// nowhere yet. Kernels read and write extents of both tiers through the same addresses; the CPU
// those in host memory. Extents move between the tiers under their addresses, on a worker of the
// pool's, and never while they are pinned. Made by a Pool, which outlives it. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spillway/memory/budget.h"
#include "spillway/types.h"

namespace spillway::memory {

struct RegionState;

// What may be moved out of HBM when another extent needs the room.
enum class Eviction {
  kNever,                // a fixed resident set: right for cyclic scans, such as decoding
  kLeastRecentlyPinned,  // right where use is irregular
};

struct RegionOptions {
  size_t size_bytes = 0;  // rounded up to whole extents
  size_t extent_bytes =
      size_t{32} << 20;  // one handle: what moves at once; rounded up to the GPU's granularity
  Tag tag = Tag::kOther;
  std::string name = {};  // in explain()
  Eviction eviction = Eviction::kNever;
  // The one tier that it ever lies in. kHost: ordinary memory on huge pages, made and registered at
  // several times the rate of extents that may move; it is one extent. None: both, where the pool
  // mixes tiers.
  std::optional<Tier> only = std::nullopt;
};

// A promise that extents stay where they are. Move-only value; must not outlive its Region; one
// thread at a time.
class Pin {
 public:
  Pin();  // holds nothing
  Pin(Pin&& other) noexcept;
  Pin& operator=(Pin&& other) noexcept;
  // For a launch: the extents stay until what the stream has been given by now has ended.
  ~Pin();
  std::byte* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  friend class Region;
  void drop();
  struct Held;
  std::unique_ptr<Held> held_;
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

// A move under way. Value that shares its state with the worker; dropping it does not stop the
// move.
class Transfer {
 public:
  Transfer() = default;  // has ended
  bool ended() const;
  // Blocks. kBudget: the tier has no room left. kMachine. What was moved before the error stays
  // moved; no byte is lost.
  Result<void> wait() const;

 private:
  friend class Region;
  struct State;
  std::shared_ptr<State> state_;  // the worker may still write it when the caller has gone
};

// Extents [first, end) that lie in one tier; none: nowhere.
struct Residency {
  size_t first = 0;
  size_t end = 0;
  std::optional<Tier> tier;
};

class Region {
 public:
  // Waits for moves under way and for launches that have pinned extents.
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  std::byte* data() const;
  size_t size_bytes() const;
  size_t extent_bytes() const;
  size_t extents() const;
  std::vector<Residency> residency() const;  // runs, in order, covering all extents

  // The extents that touch [offset, offset + size) come to lie in `tier`: those that lie nowhere
  // get memory there, with undefined bytes; others are moved. Waits. kUsage: outside of the
  // region, not a tier of memory, or an extent is pinned. kBudget; kMachine.
  Result<void> make_resident(size_t offset, size_t size, Tier tier);
  // Moves the extents that lie in the other tier; returns as soon as none of them is moving
  // already. From then on who pins one waits until it has moved. kUsage: one is pinned.
  Result<Transfer> move(size_t offset, size_t size, Tier tier);
  // Forgets the bytes of the extents that lie wholly inside [offset, offset + size), and gives
  // their memory back. kUsage: one is pinned.
  Result<void> discard(size_t offset, size_t size);

  // For work that is put into `stream` while the pin lives. Waits for extents that are moving.
  // kUsage: one lies nowhere.
  Result<Pin> pin(size_t offset, size_t size, Stream stream);
  // For the CPU. kUsage: one lies in HBM, or nowhere.
  Result<Pin> pin_for_host(size_t offset, size_t size);

 private:
  friend class Pool;
  explicit Region(std::unique_ptr<RegionState> state);
  std::unique_ptr<RegionState> state_;
};

}  // namespace spillway::memory
