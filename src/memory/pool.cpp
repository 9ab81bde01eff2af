#include "spillway/memory/pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/units.h"
#include "memory/pool_state.h"
#include "memory/region_state.h"
#include "platform/cuda_gpu.h"
#include "platform/linux/linux_platform.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::memory {
namespace {

// Of what is free, where no budget is given.
constexpr double kFreeShare = 0.9;

uint64_t share_of(uint64_t free_bytes) {
  return static_cast<uint64_t>(kFreeShare * static_cast<double>(free_bytes));
}

}  // namespace

Pool::Pool(std::unique_ptr<PoolState> state) : state_(std::move(state)) {}
Pool::~Pool() = default;

Result<std::unique_ptr<Pool>> Pool::create(platform::Gpu& gpu, const PoolOptions& options) {
  const uint64_t context_bytes = gpu.info().context_bytes;
  uint64_t hbm_bytes = options.hbm_budget_bytes.value_or(0);
  if (!options.hbm_budget_bytes) {
    SPILLWAY_ASSIGN(const platform::GpuMemory memory, gpu.memory());
    hbm_bytes = share_of(memory.free_bytes) + context_bytes;
  }
  auto state = std::make_unique<PoolState>(gpu, hbm_bytes, options.host_budget_bytes.value_or(0),
                                           options.kept_bytes);
  SPILLWAY_ASSIGN(state->context, state->hbm.reserve(context_bytes, Tag::kOther, "driver context"));
  SPILLWAY_TRY(state->streams.create());
  return std::unique_ptr<Pool>(new Pool(std::move(state)));
}

Result<std::unique_ptr<Pool>> Pool::open(int device, const PoolOptions& options) {
  SPILLWAY_ASSIGN(auto gpu, platform::open_cuda_gpu(device));
  PoolOptions wanted = options;
  if (!options.host_budget_bytes) {
    SPILLWAY_ASSIGN(const platform::HostMemory memory,
                    platform::make_linux_platform()->host_memory());
    wanted.host_budget_bytes = share_of(memory.free_bytes());
  }
  SPILLWAY_ASSIGN(auto pool, create(*gpu, wanted));
  pool->state_->owned_gpu = std::move(gpu);
  return pool;
}

Result<std::unique_ptr<Pool>> Pool::simulate(uint64_t device_bytes, const PoolOptions& options) {
  PoolOptions wanted = options;
  if (!wanted.host_budget_bytes) wanted.host_budget_bytes = device_bytes;
  std::unique_ptr<platform::Gpu> gpu = platform::make_simulated_gpu(
      {.total_bytes = device_bytes, .host_bytes = *wanted.host_budget_bytes});
  SPILLWAY_ASSIGN(auto pool, create(*gpu, wanted));
  pool->state_->owned_gpu = std::move(gpu);
  return pool;
}

Result<std::unique_ptr<Region>> Pool::create_region(const RegionOptions& options) {
  if (options.size_bytes == 0 || options.extent_bytes == 0) {
    return fail(ErrorCode::kUsage,
                "region '{}': {} bytes in extents of {}; both must be more than 0", options.name,
                options.size_bytes, options.extent_bytes);
  }
  RegionOptions rounded = options;
  rounded.extent_bytes = round_up(options.extent_bytes, gpu().info().granularity);
  rounded.size_bytes = round_up(options.size_bytes, rounded.extent_bytes);
  if (rounded.extent_bytes < options.extent_bytes || rounded.size_bytes < options.size_bytes) {
    return fail(ErrorCode::kUsage, "region '{}': {} bytes in extents of {} are too many",
                options.name, options.size_bytes, options.extent_bytes);
  }
  SPILLWAY_ASSIGN(std::byte* const data, gpu().reserve(rounded.size_bytes, 0));
  auto state = std::make_unique<RegionState>(*state_, rounded, data,
                                             rounded.size_bytes / rounded.extent_bytes);
  {
    const std::lock_guard lock(state_->mutex);
    state_->regions.push_back(state.get());
  }
  return std::unique_ptr<Region>(new Region(std::move(state)));
}

Budget& Pool::budget(Tier tier) {
  SPILLWAY_CHECK(tier == Tier::kHbm || tier == Tier::kHost);
  return state_->handles.budget(tier);
}

bool Pool::mixes_tiers() const {
  return gpu().info().host_handles;
}

platform::Gpu& Pool::gpu() const {
  return state_->gpu;
}

PoolStatistics Pool::statistics() const {
  const HandleStatistics handles = state_->handles.statistics();
  const std::lock_guard lock(state_->mutex);
  PoolStatistics statistics = state_->moved;
  statistics.handles_created = handles.created;
  statistics.handles_reused = handles.reused;
  statistics.driver_calls = state_->gpu.driver_calls();
  return statistics;
}

std::string Pool::explain() const {
  return state_->hbm.explain() + "\n" + state_->host.explain();
}

void Pool::trim() {
  state_->handles.trim(Tier::kHbm);
  state_->handles.trim(Tier::kHost);
}

}  // namespace spillway::memory
