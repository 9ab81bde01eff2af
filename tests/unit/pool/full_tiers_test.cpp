// What a pool does when a tier is full: who gives way, and who waits for whom.
#include <gtest/gtest.h>

#include <future>
#include <limits>
#include <thread>

#include "base/units.h"
#include "extent.h"
#include "platform/faulty_gpu.h"
#include "platform/simulated/simulated_gpu.h"
#include "platform/simulated/simulated_platform.h"
#include "spillway/memory.h"

namespace spillway::memory {
namespace {

size_t in_hbm(const Region& r) {
  size_t n = 0;
  for (const auto& run : r.residency())
    if (run.tier == Tier::kHbm) n += run.end - run.first;
  return n;
}

TEST(FullTiers, MakeResidentDoesNotEvictItself) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = 4 * kExtent, .host_budget_bytes = 64 * kExtent})
          .value();
  const auto region = pool->create_region({.size_bytes = 8 * kExtent,
                                           .extent_bytes = kExtent,
                                           .name = "r",
                                           .eviction = Eviction::kLeastRecentlyPinned})
                          .value();
  ASSERT_TRUE(region->make_resident(4 * kExtent, 4 * kExtent, Tier::kHost));
  const auto done = region->make_resident(0, 8 * kExtent, Tier::kHbm);
  EXPECT_TRUE(!done || in_hbm(*region) == 8) << "ok, but in HBM: " << in_hbm(*region);
}

TEST(FullTiers, MoveDoesNotEvictItself) {
  const auto gpu = platform::make_simulated_gpu({.total_bytes = 4 * kGiB, .host_bytes = 8 * kGiB});
  const size_t e = 64 * kMiB;
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = 12 * e, .host_budget_bytes = 64 * e}).value();
  const auto region = pool->create_region({.size_bytes = 16 * e,
                                           .extent_bytes = e,
                                           .name = "r",
                                           .eviction = Eviction::kLeastRecentlyPinned})
                          .value();
  ASSERT_TRUE(region->make_resident(0, 16 * e, Tier::kHost));
  const auto done = region->make_resident(0, 16 * e, Tier::kHbm);
  EXPECT_TRUE(!done || in_hbm(*region) == 16)
      << "ok, but in HBM: " << in_hbm(*region) << " evicted " << pool->statistics().evicted_extents;
}

TEST(FullTiers, PinnedMemoryGetsWhatIsKept) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = 4 * kExtent, .host_budget_bytes = 4 * kExtent})
          .value();
  {
    const auto region =
        pool->create_region({.size_bytes = 4 * kExtent, .extent_bytes = kExtent, .name = "r"})
            .value();
    ASSERT_TRUE(region->make_resident(0, 4 * kExtent, Tier::kHost));
  }
  const auto pinned = PinnedMemory::create(*pool, {.bytes = kExtent});
  EXPECT_TRUE(pinned) << pinned.error().message;
}

class SlowRelease : public platform::FaultyGpu {
 public:
  using FaultyGpu::FaultyGpu;
  Result<void> release(platform::HandleId handle) override {
    if (slow) {
      if (!entered.exchange(true)) first.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
    return FaultyGpu::release(handle);
  }
  std::atomic<bool> slow = false;
  std::atomic<bool> entered = false;
  std::promise<void> first;
};

TEST(FullTiers, WhatAnotherThreadIsTrimmingIsWaitedFor) {
  const auto real = platform::make_simulated_gpu({});
  SlowRelease gpu(*real);
  const auto pool =
      Pool::create(gpu, {.hbm_budget_bytes = 8 * kExtent, .host_budget_bytes = 0}).value();
  {
    const auto old =
        pool->create_region({.size_bytes = 8 * kExtent, .extent_bytes = kExtent, .name = "old"})
            .value();
    ASSERT_TRUE(old->make_resident(0, 8 * kExtent, Tier::kHbm));
  }
  const auto make = [&](const char* name) {
    return pool
        ->create_region({.size_bytes = 2 * kExtent, .extent_bytes = 2 * kExtent, .name = name})
        .value();
  };
  const auto a = make("a");
  const auto b = make("b");
  gpu.slow = true;
  std::jthread other([&] { EXPECT_TRUE(a->make_resident(0, 2 * kExtent, Tier::kHbm)); });
  gpu.first.get_future().wait();
  const auto done = b->make_resident(0, 2 * kExtent, Tier::kHbm);
  EXPECT_TRUE(done) << done.error().message;
}

// Two threads need room that one eviction makes.
TEST(FullTiers, AnEvictionUnderWayIsWaitedFor) {
  const auto gpu = platform::make_simulated_gpu({.work_delay = std::chrono::milliseconds(100)});
  const auto pool = Pool::create(*gpu, {.hbm_budget_bytes = 8 * kExtent,
                                        .host_budget_bytes = 64 * kExtent,
                                        .kept_bytes = 0})
                        .value();
  const auto big = pool->create_region({.size_bytes = 8 * kExtent,
                                        .extent_bytes = 8 * kExtent,
                                        .name = "big",
                                        .eviction = Eviction::kLeastRecentlyPinned})
                       .value();
  ASSERT_TRUE(big->make_resident(0, 8 * kExtent, Tier::kHbm));
  const auto a =
      pool->create_region({.size_bytes = kExtent, .extent_bytes = kExtent, .name = "a"}).value();
  const auto b =
      pool->create_region({.size_bytes = kExtent, .extent_bytes = kExtent, .name = "b"}).value();
  std::jthread other([&] { EXPECT_TRUE(a->make_resident(0, kExtent, Tier::kHbm)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  const auto done = b->make_resident(0, kExtent, Tier::kHbm);
  EXPECT_TRUE(done) << done.error().message.substr(0, 160);
}

// Eviction fails with the driver's error; the caller hears that a budget is too small.
TEST(FullTiers, AnEvictionThatTheDriverRefusesIsNotABudget) {
  const auto real = platform::make_simulated_gpu({});
  platform::FaultyGpu gpu(*real);
  const auto pool =
      Pool::create(gpu, {.hbm_budget_bytes = 2 * kExtent, .host_budget_bytes = 8 * kExtent})
          .value();
  const auto r = pool->create_region({.size_bytes = 3 * kExtent,
                                      .extent_bytes = kExtent,
                                      .name = "d",
                                      .eviction = Eviction::kLeastRecentlyPinned})
                     .value();
  ASSERT_TRUE(r->make_resident(0, 2 * kExtent, Tier::kHbm));
  gpu.fail_call(platform::GpuCall::kCopy, 1, false);
  const auto done = r->make_resident(2 * kExtent, kExtent, Tier::kHbm);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kMachine) << done.error().message;
}

std::promise<void> go;
void wait_for_go(std::span<const platform::KernelArgument>) {
  go.get_future().wait();
}

// A launch waits for the CPU; meanwhile an extent that it reads is to move. The CPU needs some
// memory of another region before it lets the launch go on.
TEST(FullTiers, NewMemoryDoesNotWaitForMovesOfOthers) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = 32 * kMiB, .host_budget_bytes = 32 * kMiB}).value();
  const auto r =
      pool->create_region({.size_bytes = kExtent, .extent_bytes = kExtent, .name = "r"}).value();
  ASSERT_TRUE(r->make_resident(0, kExtent, Tier::kHbm));
  const Stream stream = gpu->create_stream().value();
  {
    const auto pin = r->pin(0, kExtent, stream).value();
    ASSERT_TRUE(gpu->launch({.name = "w", .stand_in = wait_for_go}, {}, {}, stream));
  }
  const auto transfer = r->move(0, kExtent, Tier::kHost).value();
  const auto allocator = StreamAllocator::create(*pool, {.segment_bytes = 2 * kMiB}).value();
  auto got = std::async(std::launch::async,
                        [&] { return allocator->allocate(Stream{}, 1000).has_value(); });
  EXPECT_EQ(got.wait_for(std::chrono::seconds(3)), std::future_status::ready);
  go.set_value();
  EXPECT_TRUE(got.get());
  ASSERT_TRUE(transfer.wait());
}

}  // namespace
}  // namespace spillway::memory
