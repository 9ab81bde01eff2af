#include "platform/faulty_gpu.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

#include "platform/simulated/simulated_gpu.h"

namespace spillway::platform {
namespace {

// Uses every call once, in the order of GpuCall; the calls that failed.
std::set<std::string> use_all(Gpu& gpu) {
  std::set<std::string> failed;
  const auto note = [&](GpuCall call, const auto& result) {
    if (result) return;
    EXPECT_EQ(result.error().code, ErrorCode::kMachine) << result.error().message;
    failed.insert(name_of(call));
  };
  const auto granule = gpu.info().granularity;
  note(GpuCall::kMemory, gpu.memory());
  const auto handle = gpu.create(granule, Place::kDevice);
  note(GpuCall::kCreate, handle);
  const auto at = gpu.reserve(granule, 0);
  note(GpuCall::kReserve, at);
  const auto mapped = handle && at ? gpu.map(*at, granule, *handle) : Result<void>{};
  note(GpuCall::kMap, mapped);
  const bool reachable = handle && at && mapped;
  if (reachable) note(GpuCall::kAllowAccess, gpu.allow_access(*at, granule, Place::kDevice));
  if (reachable) note(GpuCall::kUnmap, gpu.unmap(*at, granule));
  if (handle) note(GpuCall::kRelease, gpu.release(*handle));
  const auto stream = gpu.create_stream();
  note(GpuCall::kCreateStream, stream);
  const auto event = gpu.create_event();
  note(GpuCall::kCreateEvent, event);
  if (stream && event) {
    note(GpuCall::kRecord, gpu.record(*event, *stream));
    note(GpuCall::kEnded, gpu.ended(*event));
    note(GpuCall::kWait, gpu.wait(*event));
    note(GpuCall::kStreamWait, gpu.wait(*stream, *event));
    note(GpuCall::kCopy, gpu.copy(CopyRequest{}, *stream));
    note(GpuCall::kCopyBatch, gpu.copy(std::span<const CopyRequest>{}, *stream));
    note(GpuCall::kFill, gpu.fill(nullptr, {}, 0, *stream));
    note(GpuCall::kLaunch, gpu.launch({.stand_in = [](auto) {}}, {}, {}, *stream));
    note(GpuCall::kSynchronise, gpu.synchronise(*stream));
  }
  if (event) note(GpuCall::kDestroyEvent, gpu.destroy_event(*event));
  if (stream) note(GpuCall::kDestroyStream, gpu.destroy_stream(*stream));
  return failed;
}

constexpr uint64_t kUsedCalls = 20;
constexpr uint64_t kGivingBack = 4;  // unmap, release, destroy_event, destroy_stream

TEST(FaultyGpu, PassesEverythingOnWhereNoFaultIsSet) {
  const auto inside = make_simulated_gpu({});
  FaultyGpu gpu(*inside);
  EXPECT_THAT(use_all(gpu), testing::IsEmpty());
  EXPECT_EQ(gpu.calls(), kUsedCalls);
  EXPECT_EQ(gpu.failures(), 0u);
  EXPECT_EQ(gpu.calls(GpuCall::kLaunch), 1u);
  EXPECT_EQ(&gpu.info(), &inside->info());
  EXPECT_EQ(gpu.driver_calls(), inside->driver_calls());
}

TEST(FaultyGpu, FailsTheCallThatWasChosenOnce) {
  const auto inside = make_simulated_gpu({});
  FaultyGpu gpu(*inside);
  std::set<std::string> all;
  for (uint64_t n = 1; n <= kUsedCalls; ++n) {
    gpu.fail_call(n, false);
    const auto failed = use_all(gpu);
    EXPECT_EQ(failed.size(), 1u) << n;
    all.insert(failed.begin(), failed.end());
    EXPECT_EQ(gpu.failures(), n);
  }
  EXPECT_EQ(all.size(), kUsedCalls);
}

TEST(FaultyGpu, DoesNotReachTheGpuInside) {
  const auto inside = make_simulated_gpu({});
  FaultyGpu gpu(*inside);
  gpu.fail_call(1, false);
  const auto failed = gpu.create(inside->info().granularity, Place::kDevice);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kMachine);
  EXPECT_THAT(failed.error().message, testing::HasSubstr("create failed"));
  EXPECT_EQ(inside->handles(), 0u);
  EXPECT_EQ(inside->driver_calls(), 0u);
  EXPECT_TRUE(gpu.create(inside->info().granularity, Place::kDevice).has_value());
}

TEST(FaultyGpu, FailsForGood) {
  const auto inside = make_simulated_gpu({});
  FaultyGpu gpu(*inside);
  gpu.fail_call(3, true);
  EXPECT_TRUE(gpu.memory().has_value());
  EXPECT_TRUE(gpu.memory().has_value());
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(gpu.memory().has_value());
  EXPECT_FALSE(gpu.synchronise({}).has_value());
  EXPECT_EQ(gpu.failures(), 6u);
  gpu.fail_call(0, false);
  EXPECT_TRUE(gpu.memory().has_value());
}

TEST(FaultyGpu, FailsOnlyOneOperation) {
  const auto inside = make_simulated_gpu({});
  FaultyGpu gpu(*inside);
  gpu.fail_call(GpuCall::kCreate, 2, false);
  const size_t bytes = inside->info().granularity;
  EXPECT_TRUE(gpu.create(bytes, Place::kDevice).has_value());
  EXPECT_TRUE(gpu.memory().has_value());
  EXPECT_FALSE(gpu.create(bytes, Place::kDevice).has_value());
  EXPECT_TRUE(gpu.create(bytes, Place::kDevice).has_value());
}

TEST(FaultyGpu, SparesGivingBackWhereAsked) {
  const auto inside = make_simulated_gpu({});
  FaultyGpu gpu(*inside, GivingBack::kNeverFails);
  use_all(gpu);
  EXPECT_EQ(gpu.calls(), kUsedCalls - kGivingBack);
  for (uint64_t n = 1; n <= kUsedCalls - kGivingBack; ++n) {
    gpu.fail_call(n, true);
    use_all(gpu);
    EXPECT_EQ(inside->handles(), 0u) << n;
    EXPECT_EQ(inside->streams(), 0u) << n;
    EXPECT_EQ(inside->events(), 0u) << n;
  }
  gpu.fail_call(GpuCall::kDestroyEvent, 1, false);  // named, it fails all the same
  EXPECT_FALSE(gpu.destroy_event(gpu.create_event().value()).has_value());
}

}  // namespace
}  // namespace spillway::platform
