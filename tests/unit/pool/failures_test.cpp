// What is left after a call that failed.
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

TEST(Failures, AfterADiscardThatFailedAPinnedHostRegionIsReachable) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto os = platform::make_simulated_platform({});
  const auto pool =
      Pool::create(*gpu, *os, {.hbm_budget_bytes = kMiB, .host_budget_bytes = kMiB}).value();
  const auto region =
      pool->create_region({.size_bytes = kExtent, .name = "host", .only = Tier::kHost}).value();
  ASSERT_TRUE(region->make_resident(0, kExtent, Tier::kHost));
  os->fail_operation(platform::Operation::kDecommit, 1, false);
  EXPECT_FALSE(region->discard(0, kExtent));
  const auto pin = region->pin(0, kExtent, Stream{});
  ASSERT_TRUE(pin) << pin.error().message;
  EXPECT_TRUE(gpu->fill(pin->data(), std::byte{1}, kExtent, Stream{})) << "the GPU reaches it";
  EXPECT_TRUE(gpu->synchronise(Stream{}));
}

TEST(Failures, CommitInManagedMemoryIsAllOrNone) {
  const auto real = platform::make_simulated_gpu({});
  platform::FaultyGpu gpu(*real);
  const auto pool =
      Pool::create(
          gpu, {.hbm_budget_bytes = 8 * kExtent, .host_budget_bytes = 8 * kExtent, .managed = true})
          .value();
  const auto region =
      pool->create_region({.size_bytes = 4 * kExtent, .extent_bytes = kExtent, .name = "m"})
          .value();
  gpu.fail_call(platform::GpuCall::kPrefer, 3, false);
  EXPECT_FALSE(region->make_resident(0, 4 * kExtent, Tier::kHbm));
  EXPECT_EQ(pool->budget(Tier::kHbm).usage().bytes, 0U);
  EXPECT_FALSE(region->residency().front().tier.has_value());
}

// Fails: the charge has gone back, the driver still holds the pages, and the addresses are lost.
TEST(Failures, PinnedMemoryThatTheDriverDoesNotLetGoStaysCharged) {
  const auto real = platform::make_simulated_gpu({});
  platform::FaultyGpu gpu(*real);
  const auto pool =
      Pool::create(gpu, {.hbm_budget_bytes = kMiB, .host_budget_bytes = kMiB}).value();
  auto pinned = PinnedMemory::create(*pool, {.bytes = kExtent}).value();
  gpu.fail_call(platform::GpuCall::kUnregisterHost, 1, false);
  pinned.reset();
  EXPECT_EQ(real->registrations() * kExtent, pool->budget(Tier::kHost).usage().bytes);
  const auto again = PinnedMemory::create(*pool, {.bytes = kExtent});
  EXPECT_TRUE(again) << again.error().message;
}

// make_resident fails in its second half; "a failed call leaves everything as it was"
TEST(Failures, MakeResidentThatFailsLeavesEverythingAsItWas) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = 8 * kExtent, .host_budget_bytes = 8 * kExtent})
          .value();
  const auto r =
      pool->create_region({.size_bytes = 2 * kExtent, .extent_bytes = kExtent, .name = "d"})
          .value();
  ASSERT_TRUE(r->make_resident(0, kExtent, Tier::kHost));
  const auto pin = r->pin(0, kExtent, Stream{}).value();
  EXPECT_FALSE(r->make_resident(0, 2 * kExtent, Tier::kHbm));
  EXPECT_EQ(pool->budget(Tier::kHbm).usage().bytes, 0U);
}

TEST(Failures, RegionForDiskOnlyIsRefused) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = kMiB, .host_budget_bytes = kMiB}).value();
  EXPECT_FALSE(pool->create_region(
      {.size_bytes = kExtent, .extent_bytes = kExtent, .name = "d", .only = Tier::kDisk}));
}

// The handle's second address was mapped, and access was refused: it is not copied through.
class RefusesAccess : public platform::FaultyGpu {
 public:
  using FaultyGpu::FaultyGpu;
  Result<void> allow_access(std::byte* at, size_t bytes, platform::Place place) override {
    if (refuses) return tl::make_unexpected(Error{ErrorCode::kMachine, "access"});
    return FaultyGpu::allow_access(at, bytes, place);
  }
  Result<void> unmap(std::byte* at, size_t bytes) override {
    if (refuses) return tl::make_unexpected(Error{ErrorCode::kMachine, "unmap"});
    return FaultyGpu::unmap(at, bytes);
  }
  bool refuses = false;
};

TEST(Failures, AHandleWithoutAccessIsNotCopiedThrough) {
  const auto real = platform::make_simulated_gpu({});
  RefusesAccess gpu(*real);
  {
    const auto pool =
        Pool::create(gpu, {.hbm_budget_bytes = 8 * kExtent, .host_budget_bytes = 8 * kExtent})
            .value();
    const auto region =
        pool->create_region({.size_bytes = kExtent, .extent_bytes = kExtent, .name = "m"}).value();
    ASSERT_TRUE(region->make_resident(0, kExtent, Tier::kHbm));
    gpu.refuses = true;
    EXPECT_FALSE(region->make_resident(0, kExtent, Tier::kHost));
    gpu.refuses = false;
    const auto again = region->make_resident(0, kExtent, Tier::kHost);
    EXPECT_TRUE(again) << again.error().message;
  }
  EXPECT_EQ(real->reservations(), 0U);
  EXPECT_EQ(real->handles(), 0U);
}

TEST(Failures, AddressesThatTheDriverDoesNotTakeBackAreTriedAgain) {
  const auto real = platform::make_simulated_gpu({});
  platform::FaultyGpu gpu(*real);
  {
    const auto pool = Pool::create(gpu, {.hbm_budget_bytes = 8 * kExtent,
                                         .host_budget_bytes = 8 * kExtent,
                                         .kept_bytes = 0})
                          .value();
    const auto region =
        pool->create_region({.size_bytes = kExtent, .extent_bytes = kExtent, .name = "m"}).value();
    ASSERT_TRUE(region->make_resident(0, kExtent, Tier::kHbm));
    gpu.fail_call(platform::GpuCall::kFreeAddresses, 1, false);
    ASSERT_TRUE(region->make_resident(0, kExtent, Tier::kHost));
    ASSERT_TRUE(region->make_resident(0, kExtent, Tier::kHbm));
    EXPECT_EQ(gpu.failures(), 1U);
  }
  EXPECT_EQ(real->reservations(), 0U);
}

}  // namespace
}  // namespace spillway::memory
