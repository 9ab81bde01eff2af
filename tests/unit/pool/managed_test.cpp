// Pools of managed memory: what they refuse where the GPU has page tables of its own.
#include <gmock/gmock.h>

#include "base/units.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory.h"

namespace spillway::memory {
namespace {

using ::testing::HasSubstr;

constexpr PoolOptions kManaged = {
    .hbm_budget_bytes = 64 * kMiB, .host_budget_bytes = 256 * kMiB, .managed = true};

TEST(ManagedPools, NeedManagedMemory) {
  const auto gpu = platform::make_simulated_gpu({.managed = false});
  const auto refused = Pool::create(*gpu, kManaged);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("managed"));
}

TEST(ManagedPools, DoNotExceedFreeDeviceMemory) {
  const auto gpu = platform::make_simulated_gpu({.total_bytes = 64 * kMiB});
  const auto pool = Pool::create(*gpu, kManaged).value();
  const auto first =
      pool->create_region({.size_bytes = 40 * kMiB, .extent_bytes = 8 * kMiB, .name = "first"})
          .value();
  const auto refused = pool->create_region({.size_bytes = 32 * kMiB, .name = "second"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message, HasSubstr("host's page tables"));
  // What lies in the GPU's memory already is not counted twice.
  ASSERT_TRUE(first->make_resident(0, 32 * kMiB, Tier::kHbm));
  EXPECT_TRUE(pool->create_region({.size_bytes = 1, .extent_bytes = 64 * kKiB, .name = "third"}));
  EXPECT_EQ(gpu->managed_ranges(), 1U);
}

TEST(ManagedPools, MayExceedItWhereTheGpuUsesTheHostsPageTables) {
  const auto gpu = platform::make_simulated_gpu(
      {.total_bytes = 64 * kMiB, .host_bytes = 256 * kMiB, .coherent = true});
  const auto pool = Pool::create(*gpu, kManaged).value();
  const auto region = pool->create_region({.size_bytes = 256 * kMiB, .name = "large"}).value();
  ASSERT_TRUE(region->make_resident(0, 64 * kMiB, Tier::kHbm));
  ASSERT_TRUE(region->make_resident(64 * kMiB, 192 * kMiB, Tier::kHost));
  EXPECT_EQ(gpu->device_bytes_in_use(), 64 * kMiB);
  EXPECT_EQ(gpu->host_bytes_in_use(), 192 * kMiB);
}

TEST(ManagedPools, AllocatorsSpill) {
  const auto gpu = platform::make_simulated_gpu(
      {.total_bytes = 64 * kMiB, .host_bytes = 256 * kMiB, .coherent = true});
  const auto pool = Pool::create(*gpu, kManaged).value();
  const auto allocator = StreamAllocator::create(*pool, {.spills = true}).value();
  for (int round = 0; round < 3; ++round) {
    void* const first = allocator->allocate(Stream{}, 48 * kMiB).value();
    void* const second = allocator->allocate(Stream{}, 48 * kMiB).value();
    allocator->deallocate(Stream{}, first, 48 * kMiB);
    allocator->deallocate(Stream{}, second, 48 * kMiB);
    ASSERT_TRUE(allocator->trim());
  }
  EXPECT_GE(allocator->statistics().spilled_bytes, 48 * kMiB);
  EXPECT_LE(gpu->peak_device_bytes(), 64 * kMiB);
  EXPECT_EQ(allocator->allocate(Stream{}, 400 * kMiB).error().code, ErrorCode::kBudget);
}

// What SPILLWAY_MANAGED=1 does.
TEST(ManagedPools, PyTorchInManagedMemoryOnAGpuWithItsOwnPageTables) {
  const auto gpu = platform::make_simulated_gpu({.total_bytes = 64 * kMiB});
  const auto pool =
      Pool::create(*gpu,
                   {.hbm_budget_bytes = 32 * kMiB, .host_budget_bytes = 64 * kMiB, .managed = true})
          .value();
  const auto allocator =
      StreamAllocator::create(*pool, {.name = "PyTorch", .spills = pool->mixes_tiers()});
  EXPECT_TRUE(allocator) << allocator.error().message;
}

TEST(ManagedPools, TrimSaysHowMuchOthersMayHave) {
  const auto gpu = platform::make_simulated_gpu({.total_bytes = 64 * kMiB});
  const auto pool = Pool::create(*gpu, kManaged).value();
  const auto allocator = StreamAllocator::create(*pool, {}).value();
  void* const block = allocator->allocate(Stream{}, 16 * kMiB).value();
  allocator->deallocate(Stream{}, block, 16 * kMiB);
  EXPECT_EQ(allocator->trim().value(), 0U) << "managed memory goes back with its region";
  EXPECT_GE(pool->budget(Tier::kHbm).usage().bytes, 16 * kMiB);
}

}  // namespace
}  // namespace spillway::memory
