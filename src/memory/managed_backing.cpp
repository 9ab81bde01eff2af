// Managed memory, as RMM's users have it on machines where the GPU reads the CPU's page tables:
// one allocation for the whole region, where each extent's pages are asked to stay in its tier and
// are brought there ahead of use (preferred location, accessed by, prefetch).
#include <algorithm>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "memory/backing.h"
#include "memory/pool_state.h"

namespace spillway::memory {
namespace {

class ManagedBacking : public Backing {
 public:
  ManagedBacking(PoolState& pool, const RegionOptions& options, std::byte* data)
      : pool_(pool),
        options_(options),
        data_(data),
        brought_(options.size_bytes / options.extent_bytes, 0) {}

  std::byte* data() const override { return data_; }
  // Not where there may be pages: the driver has no call that surely frees some of them.
  bool gives_back(const std::byte* at) const override { return brought_[index_of(at)] == 0; }
  bool moves_in_place() const override { return true; }
  Result<void> check_tier(Tier) const override { return {}; }

  // Pages are made where they are brought first: here is their charge.
  Result<Handle> take(size_t bytes, Tier tier, const Holding& holding) override {
    return pool_.handles.take_charge(bytes, tier, holding);
  }
  Result<void> map(std::byte* at, const Handle& handle) override {
    return pool_.gpu.prefer(at, handle.bytes, place_of(handle.tier));
  }
  Result<void> allow_access(std::byte* at, size_t bytes, Tier tier) override {
    const CopyStreams& streams = pool_.streams;
    const Stream stream = tier == Tier::kHbm ? *streams.to_hbm : *streams.to_host;
    SPILLWAY_TRY(bring(at, bytes, tier, stream));
    return pool_.gpu.synchronise(stream);
  }
  Result<void> allow_cpu_access(std::byte*, size_t) override { return {}; }
  Result<void> unmap(std::byte*, size_t) override { return {}; }
  Result<void> copy(std::byte* at, bool, Handle&, Handle& to, Stream stream) override {
    SPILLWAY_TRY(map(at, to));
    return bring(at, to.bytes, to.tier, stream);
  }
  Result<void> undo_copy(std::byte* at, const Handle& from) override {
    SPILLWAY_TRY(map(at, from));
    return allow_access(at, from.bytes, from.tier);
  }
  Result<void> close() override {
    SPILLWAY_TRY(pool_.gpu.free_managed(data_, options_.size_bytes));
    pool_.managed_bytes -= options_.size_bytes;
    return {};
  }

 private:
  size_t index_of(const std::byte* at) const {
    return static_cast<size_t>(at - data_) / options_.extent_bytes;
  }
  Result<void> bring(std::byte* at, size_t bytes, Tier tier, Stream stream) {
    const size_t first = index_of(at);
    std::fill_n(brought_.begin() + static_cast<ptrdiff_t>(first), bytes / options_.extent_bytes, 1);
    return pool_.gpu.prefetch(at, bytes, place_of(tier), stream);
  }

  PoolState& pool_;
  const RegionOptions options_;
  std::byte* const data_;
  std::vector<char> brought_;  // of each extent, written by who has claimed it: there may be pages
};

// Where the GPU has page tables of its own, all managed memory must fit into what is free of its
// memory: beyond that, pages go to and fro with every touch, and a driver was seen to hang.
Result<void> check_fits(const PoolState& pool, const std::string& name) {
  if (pool.gpu.info().coherent) return {};
  SPILLWAY_ASSIGN(const platform::GpuMemory memory, pool.gpu.memory());
  // A driver may call what managed pages take free, since it can move them: what was free at first
  // holds in any case, and other programs may have taken of it since.
  const uint64_t ours = pool.hbm.usage().bytes - pool.context.bytes();
  const uint64_t most = std::min(pool.free_at_open_bytes, memory.free_bytes + ours);
  if (pool.managed_bytes <= most) return {};
  return fail(
      ErrorCode::kBudget,
      "region '{}': {} of managed memory altogether, and {} are free on a GPU that does not "
      "use the host's page tables: make it smaller, or use a pool without managed memory, "
      "which may hold more than the GPU does",
      name, format_size(pool.managed_bytes), format_size(most));
}

}  // namespace

Result<std::unique_ptr<Backing>> make_managed_backing(PoolState& pool,
                                                      const RegionOptions& options) {
  pool.managed_bytes += options.size_bytes;  // first: another thread may ask at the same time
  auto fits = check_fits(pool, options.name);
  auto data = fits ? pool.gpu.allocate_managed(options.size_bytes)
                   : tl::make_unexpected(std::move(fits).error());
  if (!data) {
    pool.managed_bytes -= options.size_bytes;
    return tl::make_unexpected(std::move(data).error());
  }
  return std::make_unique<ManagedBacking>(pool, options, *data);
}

}  // namespace spillway::memory
