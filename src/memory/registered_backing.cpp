// Ordinary host memory on huge pages, registered with the GPU: for regions that never leave the
// host. One extent, since what was registered as one cannot go back in parts.
#include "base/check.h"
#include "base/result.h"
#include "memory/backing.h"
#include "memory/pool_state.h"
#include "memory/registered_range.h"

namespace spillway::memory {
namespace {

class RegisteredBacking : public Backing {
 public:
  RegisteredBacking(PoolState& pool, std::unique_ptr<RegisteredRange> range)
      : pool_(pool), range_(std::move(range)) {}

  std::byte* data() const override { return range_->bytes().data(); }
  bool gives_back(const std::byte*) const override { return true; }
  bool moves_in_place() const override { return false; }
  // RegionOptions::only has left no other tier.
  Result<void> check_tier(Tier) const override { return {}; }

  Result<Handle> take(size_t bytes, Tier tier, const Holding& holding) override {
    return pool_.handles.take_charge(bytes, tier, holding);
  }
  Result<void> map(std::byte*, const Handle&) override { return range_->commit(); }
  Result<void> allow_access(std::byte*, size_t, Tier) override {
    return range_->register_with_gpu();
  }
  Result<void> allow_cpu_access(std::byte*, size_t) override { return {}; }
  Result<void> unmap(std::byte*, size_t) override { return range_->give_back(); }
  // There is one tier.
  Result<void> copy(std::byte*, bool, Handle&, Handle&, Stream) override {
    SPILLWAY_CHECK(false);
    return {};
  }
  Result<void> undo_copy(std::byte*, const Handle&) override { return {}; }
  Result<void> close() override { return {}; }  // the addresses go with the object

 private:
  PoolState& pool_;
  const std::unique_ptr<RegisteredRange> range_;
};

}  // namespace

Result<std::unique_ptr<Backing>> make_registered_backing(PoolState& pool,
                                                         const RegionOptions& options) {
  SPILLWAY_ASSIGN(auto range, RegisteredRange::create(pool.gpu, pool.os, options.size_bytes));
  return std::make_unique<RegisteredBacking>(pool, std::move(range));
}

}  // namespace spillway::memory
