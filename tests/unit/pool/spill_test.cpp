// Stream allocators that go on in host memory when HBM is full.
#include <gmock/gmock.h>

#include <limits>

#include "base/units.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory.h"

namespace spillway::memory {
namespace {

constexpr PoolOptions kBudgets = {.hbm_budget_bytes = 8 * kMiB, .host_budget_bytes = 8 * kMiB};

TEST(Spill, OnlyWhatHbmHasNoRoomFor) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool = Pool::create(*gpu, kBudgets).value();
  const auto allocator =
      StreamAllocator::create(*pool, {.segment_bytes = 2 * kMiB, .spills = true}).value();
  void* const first = allocator->allocate(Stream{}, 6 * kMiB).value();
  EXPECT_EQ(allocator->statistics().spilled_bytes, 0U);
  void* const second = allocator->allocate(Stream{}, 4 * kMiB).value();
  EXPECT_EQ(allocator->statistics().spilled_bytes, 4 * kMiB);
  EXPECT_EQ(pool->budget(Tier::kHost).usage().bytes, 4 * kMiB);
  // Its bytes are real, in either tier.
  ASSERT_TRUE(gpu->fill(static_cast<std::byte*>(second), std::byte{3}, 4 * kMiB, Stream{}));
  ASSERT_TRUE(gpu->synchronise(Stream{}));
  const auto full = allocator->allocate(Stream{}, 6 * kMiB);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kBudget);
  EXPECT_THAT(full.error().message, ::testing::HasSubstr("host"));
  allocator->deallocate(Stream{}, first, 6 * kMiB);
  allocator->deallocate(Stream{}, second, 4 * kMiB);
  EXPECT_EQ(allocator->trim().value(), 10 * kMiB);
  EXPECT_TRUE(allocator->valid());
}

TEST(Spill, WhatIsFreeIsUsedFirst) {
  const auto gpu = platform::make_simulated_gpu({.work_delay = std::chrono::milliseconds(5)});
  const auto pool = Pool::create(*gpu, kBudgets).value();
  const auto allocator = StreamAllocator::create(*pool, {.spills = true}).value();
  const Stream other = gpu->create_stream().value();
  void* const first = allocator->allocate(other, 8 * kMiB).value();
  ASSERT_TRUE(gpu->fill(static_cast<std::byte*>(first), std::byte{1}, kMiB, other));
  allocator->deallocate(other, first, 8 * kMiB);
  void* const second = allocator->allocate(Stream{}, 8 * kMiB).value();
  EXPECT_EQ(allocator->statistics().spilled_bytes, 0U) << "it waits for the other stream";
  allocator->deallocate(Stream{}, second, 8 * kMiB);
}

TEST(Spill, NeedsAPoolThatMixesTiers) {
  const auto gpu = platform::make_simulated_gpu({.host_handles = false});
  const auto pool = Pool::create(*gpu, kBudgets).value();
  EXPECT_EQ(StreamAllocator::create(*pool, {.spills = true}).error().code, ErrorCode::kUsage);
}

TEST(Spill, AHostBudgetWithoutEnd) {
  const auto gpu =
      platform::make_simulated_gpu({.total_bytes = 64 * kMiB, .host_bytes = 1024 * kMiB});
  const auto pool = Pool::create(*gpu, {.hbm_budget_bytes = 8 * kMiB,
                                        .host_budget_bytes = std::numeric_limits<uint64_t>::max()})
                        .value();
  const auto allocator = StreamAllocator::create(*pool, {.spills = true});
  ASSERT_TRUE(allocator) << allocator.error().message;
  const auto block = (*allocator)->allocate(Stream{}, 64 * kMiB);
  EXPECT_TRUE(block) << block.error().message;
}

}  // namespace
}  // namespace spillway::memory
