// Physical memory of a pool: handles, each charged to its tier's budget, and those that are kept
// for the next that asks.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/gpu.h"
#include "spillway/memory/budget.h"

namespace spillway::memory {

platform::Place place_of(Tier tier);

// How far a handle's second address has come: each step may fail, and is then tried again.
enum class AliasState { kNone, kReserved, kMapped, kReady };

// One handle and its charge. Move-only value; goes back through the HandlePool that made it.
struct Handle {
  platform::HandleId id;  // none: only the charge, for memory that has no handles
  Tier tier = Tier::kHbm;
  size_t bytes = 0;
  // A second address for it, for copies to a place that it does not have yet.
  std::byte* alias = nullptr;
  AliasState alias_state = AliasState::kNone;
  Reservation charge;
};

// Whom a handle is charged to.
struct Holding {
  Tag tag = Tag::kOther;
  std::string name;
};

struct HandleStatistics {
  uint64_t created = 0;
  uint64_t reused = 0;
};

// Thread-safe; no driver call is made under its lock.
class HandlePool {
 public:
  HandlePool(platform::Gpu& gpu, Budget& hbm, Budget& host, uint64_t kept_bytes);
  ~HandlePool();  // all handles have come back
  HandlePool(const HandlePool&) = delete;
  HandlePool& operator=(const HandlePool&) = delete;

  // Undefined bytes. kBudget, kMachine: perhaps what is kept is in the way (trim).
  Result<Handle> take(size_t bytes, Tier tier, const Holding& holding);
  // Only its charge.
  Result<Handle> take_charge(size_t bytes, Tier tier, const Holding& holding);
  // Its bytes are forgotten; it is mapped nowhere but at its alias.
  void give(Handle handle);
  // Something may still touch it: it stays as it is, and charged, as long as the pool.
  void abandon(Handle handle);
  // The handle's address of its own, where the GPU reads and writes it.
  Result<std::byte*> alias(Handle& handle);
  // Gives everything kept back to the driver; returns how many bytes that were.
  uint64_t trim(Tier tier);

  Budget& budget(Tier tier) { return tier == Tier::kHbm ? hbm_ : host_; }
  HandleStatistics statistics() const;

 private:
  using Kept = std::vector<Handle>;
  Kept& kept(Tier tier) { return kept_[tier == Tier::kHbm ? 0 : 1]; }
  bool pop(size_t bytes, Tier tier, Handle& handle);
  Result<Handle> create(size_t bytes, Tier tier, const Holding& holding);
  Result<void> destroy_parts(Handle& handle);
  void destroy(Handle handle);

  platform::Gpu& gpu_;
  Budget& hbm_;
  Budget& host_;
  const uint64_t most_kept_bytes_;
  mutable std::mutex mutex_;
  std::array<Kept, 2> kept_;
  std::array<uint64_t, 2> kept_bytes_{};
  // The driver would not take them back: they stay charged, and are tried again.
  Kept refused_;
  Kept abandoned_;
  HandleStatistics statistics_;
};

}  // namespace spillway::memory
