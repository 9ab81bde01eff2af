// Handles of the GPU's virtual memory, mapped and unmapped at addresses that are reserved once.
#include "base/check.h"
#include "base/result.h"
#include "memory/backing.h"
#include "memory/pool_state.h"

namespace spillway::memory {
namespace {

class HandleBacking : public Backing {
 public:
  HandleBacking(PoolState& pool, const RegionOptions& options, std::byte* data)
      : pool_(pool), options_(options), data_(data) {}

  std::byte* data() const override { return data_; }
  bool gives_back(const std::byte*) const override { return true; }
  bool moves_in_place() const override { return false; }
  Result<void> check_tier(Tier tier) const override {
    if (tier == Tier::kHbm || pool_.gpu.info().host_handles) return {};
    return fail(ErrorCode::kUsage,
                "region '{}': this machine's driver puts no handles into host memory, so that a "
                "region lies all in HBM or all in host memory; make it for host memory only",
                options_.name);
  }

  Result<Handle> take(size_t bytes, Tier tier, const Holding& holding) override {
    return pool_.handles.take(bytes, tier, holding);
  }
  Result<void> map(std::byte* at, const Handle& handle) override {
    return pool_.gpu.map(at, handle.bytes, handle.id);
  }
  Result<void> allow_access(std::byte* at, size_t bytes, Tier tier) override {
    return pool_.gpu.allow_access(at, bytes, place_of(tier));
  }
  Result<void> allow_cpu_access(std::byte* at, size_t bytes) override {
    return pool_.gpu.allow_cpu_access(at, bytes);
  }
  Result<void> unmap(std::byte* at, size_t bytes) override { return pool_.gpu.unmap(at, bytes); }
  // The target has no address of the region's yet, and the source may have none either.
  Result<void> copy(std::byte* at, bool readable, Handle& from, Handle& to,
                    Stream stream) override {
    SPILLWAY_ASSIGN(std::byte* const target, pool_.handles.alias(to));
    if (!readable) {
      SPILLWAY_ASSIGN(at, pool_.handles.alias(from));
    }
    return pool_.gpu.copy({target, at, to.bytes}, stream);
  }
  Result<void> undo_copy(std::byte*, const Handle&) override { return {}; }
  Result<void> close() override { return pool_.gpu.free_addresses(data_, options_.size_bytes); }

 private:
  PoolState& pool_;
  const RegionOptions options_;
  std::byte* const data_;
};

}  // namespace

Result<std::unique_ptr<Backing>> make_handle_backing(PoolState& pool,
                                                     const RegionOptions& options) {
  SPILLWAY_ASSIGN(std::byte* const data, pool.gpu.reserve(options.size_bytes, 0));
  return std::make_unique<HandleBacking>(pool, options, data);
}

Result<std::unique_ptr<Backing>> make_backing(PoolState& pool, const RegionOptions& options) {
  if (options.only == Tier::kHost) return make_registered_backing(pool, options);
  if (pool.managed) return make_managed_backing(pool, options);
  return make_handle_backing(pool, options);
}

}  // namespace spillway::memory
