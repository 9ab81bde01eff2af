#include "spillway/memory/pool.h"

#include <gmock/gmock.h>

#include "base/units.h"
#include "extent.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::memory {
namespace {

TEST(Pools, TheContextIsInTheBudget) {
  const auto gpu = platform::make_simulated_gpu({.context_bytes = kExtent});
  const auto pool = Pool::create(*gpu, {.hbm_budget_bytes = 4 * kExtent}).value();
  EXPECT_EQ(pool->budget(Tier::kHbm).usage().bytes, kExtent);
  EXPECT_THAT(pool->explain(), ::testing::HasSubstr("driver context"));
  EXPECT_EQ(Pool::create(*gpu, {.hbm_budget_bytes = kExtent - 1}).error().code, ErrorCode::kBudget);
}

TEST(Pools, WithoutABudgetMostOfWhatIsFreeIsTaken) {
  const auto gpu = platform::make_simulated_gpu(
      {.total_bytes = 101 * kMiB, .context_bytes = kMiB, .granularity = kExtent});
  const auto pool = Pool::create(*gpu, {}).value();
  EXPECT_EQ(pool->budget(Tier::kHbm).limit_bytes(), 91 * kMiB) << "0.9 of 100 and the context";
}

TEST(Pools, WithoutHostHandlesARegionIsAllHbm) {
  const auto gpu = platform::make_simulated_gpu({.host_handles = false});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = kMiB, .host_budget_bytes = kMiB}).value();
  EXPECT_FALSE(pool->mixes_tiers());
  const auto region =
      pool->create_region({.size_bytes = kExtent, .extent_bytes = kExtent, .name = "all HBM"})
          .value();
  EXPECT_TRUE(region->make_resident(0, kExtent, Tier::kHbm));
  EXPECT_EQ(region->move(0, kExtent, Tier::kHost).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace spillway::memory
