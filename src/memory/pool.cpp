#include "spillway/memory/pool.h"

#include <algorithm>
#include <system_error>
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

Result<std::unique_ptr<PoolState>> make_state(platform::Gpu& gpu, platform::Platform& os,
                                              const PoolOptions& options) {
  try {
    return std::make_unique<PoolState>(gpu, os, options);
  } catch (const std::system_error& error) {
    return fail(ErrorCode::kMachine,
                "no thread to move memory with ({}): raise the limit on processes (ulimit -u, "
                "pids.max), or end some",
                error.what());
  }
}

}  // namespace

Pool::Pool(std::unique_ptr<PoolState> state) : state_(std::move(state)) {}
Pool::~Pool() = default;

Result<std::unique_ptr<Pool>> Pool::create(platform::Gpu& gpu, platform::Platform& os,
                                           const PoolOptions& options) {
  if (options.managed && !gpu.info().managed) {
    return fail(ErrorCode::kUsage,
                "{} has no managed memory that the CPU and the GPU may use at once: use a pool "
                "without it",
                gpu.info().name);
  }
  const uint64_t context_bytes = gpu.info().context_bytes;
  SPILLWAY_ASSIGN(const platform::GpuMemory memory, gpu.memory());
  PoolOptions budgets = options;
  if (!options.hbm_budget_bytes) {
    budgets.hbm_budget_bytes = share_of(memory.free_bytes) + context_bytes;
  }
  SPILLWAY_ASSIGN(auto state, make_state(gpu, os, budgets));
  state->free_at_open_bytes = memory.free_bytes;
  SPILLWAY_ASSIGN(state->context, state->hbm.reserve(context_bytes, Tag::kOther, "driver context"));
  SPILLWAY_TRY(state->streams.create());
  return std::unique_ptr<Pool>(new Pool(std::move(state)));
}

Result<std::unique_ptr<Pool>> Pool::create(platform::Gpu& gpu, const PoolOptions& options) {
  auto os = platform::make_linux_platform();
  SPILLWAY_ASSIGN(auto pool, create(gpu, *os, options));
  pool->state_->owned_os = std::move(os);
  return pool;
}

Result<std::unique_ptr<Pool>> Pool::open(int device, const PoolOptions& options) {
  SPILLWAY_ASSIGN(auto gpu, platform::open_cuda_gpu(device));
  auto os = platform::make_linux_platform();
  PoolOptions wanted = options;
  if (!options.host_budget_bytes) {
    SPILLWAY_ASSIGN(const platform::HostMemory memory, os->host_memory());
    wanted.host_budget_bytes = share_of(memory.free_bytes());
  }
  SPILLWAY_ASSIGN(auto pool, create(*gpu, *os, wanted));
  pool->state_->owned_gpu = std::move(gpu);
  pool->state_->owned_os = std::move(os);
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

namespace {

// With the sizes that the region will have. kUsage: they are none, or wrap.
Result<RegionOptions> round_sizes(const RegionOptions& options, const PoolState& pool) {
  if (options.size_bytes == 0 || options.extent_bytes == 0) {
    return fail(ErrorCode::kUsage,
                "region '{}': {} bytes in extents of {}; both must be more than 0", options.name,
                options.size_bytes, options.extent_bytes);
  }
  if (options.only == Tier::kDisk) {
    return fail(ErrorCode::kUsage, "region '{}': a disk is no tier of memory", options.name);
  }
  const bool one_extent = options.only == Tier::kHost;
  const size_t least = one_extent ? options.size_bytes : options.extent_bytes;
  const size_t unit = one_extent ? pool.os.page_bytes() : pool.gpu.info().granularity;
  RegionOptions rounded = options;
  rounded.extent_bytes = round_up(least, unit);
  if (rounded.extent_bytes >= least) {
    rounded.size_bytes = round_up(options.size_bytes, rounded.extent_bytes);
    if (rounded.size_bytes >= options.size_bytes) return rounded;
  }
  return fail(ErrorCode::kUsage, "region '{}': {} bytes in extents of {} are too many",
              options.name, options.size_bytes, options.extent_bytes);
}

}  // namespace

Result<std::unique_ptr<Region>> Pool::create_region(const RegionOptions& options) {
  SPILLWAY_ASSIGN(const RegionOptions rounded, round_sizes(options, *state_));
  SPILLWAY_ASSIGN(auto backing, make_backing(*state_, rounded));
  auto state = std::make_unique<RegionState>(*state_, rounded, std::move(backing));
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
  return managed() || gpu().info().host_handles;
}

bool Pool::managed() const {
  return state_->managed;
}

platform::Gpu& Pool::gpu() const {
  return state_->gpu;
}

platform::Platform& Pool::os() const {
  return state_->os;
}

PoolStatistics Pool::statistics() const {
  const HandleStatistics handles = state_->handles.statistics();
  const std::lock_guard lock(state_->mutex);
  PoolStatistics statistics;
  for (const Activity& activity : state_->activity) statistics += activity;
  statistics.handles_created = handles.created;
  statistics.handles_reused = handles.reused;
  statistics.driver_calls = state_->gpu.driver_calls();
  return statistics;
}

PoolReport Pool::report() const {
  const auto tier = [](const Budget& budget) {
    return TierReport{.limit_bytes = budget.limit_bytes(),
                      .bytes = budget.usage().bytes,
                      .peak_bytes = budget.usage().peak_bytes};
  };
  PoolReport report{.hbm = tier(state_->hbm),
                    .host = tier(state_->host),
                    .activity = {},
                    .tags = {},
                    .regions = {}};
  const std::lock_guard lock(state_->mutex);
  for (const Tag tag : kTags) {
    const Activity& activity = state_->activity[static_cast<size_t>(tag)];
    const Usage hbm = state_->hbm.usage(tag);
    const Usage host = state_->host.usage(tag);
    report.activity += activity;
    if (hbm.peak_bytes + host.peak_bytes == 0) continue;
    report.tags.push_back({tag, hbm.bytes, host.bytes, activity});
  }
  for (const RegionState* region : state_->regions) {
    const RegionOptions& options = region->options;
    report.regions.push_back({.name = options.name,
                              .tag = options.tag,
                              .size_bytes = options.size_bytes,
                              .extent_bytes = options.extent_bytes,
                              .hbm_bytes = region->bytes_in(Tier::kHbm),
                              .host_bytes = region->bytes_in(Tier::kHost),
                              .activity = region->activity});
  }
  return report;
}

std::string Pool::explain() const {
  return state_->hbm.explain() + "\n" + state_->host.explain();
}

void Pool::trim() {
  state_->close_unclosed();
  state_->handles.trim(Tier::kHbm);
  state_->handles.trim(Tier::kHost);
}

}  // namespace spillway::memory
