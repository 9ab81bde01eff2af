// What the simulated GPU does beyond the contract: books, capacity, and how strict it is.
#include "platform/simulated/simulated_gpu.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>

#include "base/units.h"

namespace spillway::platform {
namespace {

constexpr size_t kGranule = 64 * kKiB;

template <typename Value>
void expect_usage(const Result<Value>& result, const char* text) {
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  EXPECT_THAT(result.error().message, testing::HasSubstr(text));
}

TEST(SimulatedGpu, HasAsMuchMemoryAsItSays) {
  const auto gpu = make_simulated_gpu(
      {.total_bytes = 10 * kGranule, .host_bytes = 4 * kGranule, .context_bytes = 2 * kGranule});
  EXPECT_EQ(gpu->memory()->total_bytes, 10 * kGranule);
  EXPECT_EQ(gpu->memory()->free_bytes, 8 * kGranule);
  const HandleId first = gpu->create(6 * kGranule, Place::kDevice).value();
  EXPECT_EQ(gpu->memory()->free_bytes, 2 * kGranule);
  const auto refused = gpu->create(3 * kGranule, Place::kDevice);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kMachine);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("192.0 KiB asked for, 128.0 KiB"));
  EXPECT_TRUE(gpu->create(4 * kGranule, Place::kHost).has_value());
  EXPECT_FALSE(gpu->create(kGranule, Place::kHost).has_value());
  EXPECT_TRUE(gpu->release(first).has_value());
  EXPECT_TRUE(gpu->create(8 * kGranule, Place::kDevice).has_value());
}

TEST(SimulatedGpu, KeepsBooks) {
  const auto gpu = make_simulated_gpu({});
  const HandleId handle = gpu->create(2 * kGranule, Place::kDevice).value();
  const HandleId other = gpu->create(kGranule, Place::kDevice).value();
  ASSERT_TRUE(gpu->release(other).has_value());
  std::byte* at = gpu->reserve(4 * kGranule, 0).value();
  ASSERT_TRUE(gpu->map(at, 2 * kGranule, handle).has_value());
  ASSERT_TRUE(gpu->map(at + 2 * kGranule, 2 * kGranule, handle).has_value());
  EXPECT_EQ(gpu->reservations(), 1u);
  EXPECT_EQ(gpu->mappings(), 2u);
  ASSERT_TRUE(gpu->release(handle).has_value());
  ASSERT_TRUE(gpu->unmap(at, 2 * kGranule).has_value());
  EXPECT_EQ(gpu->handles(), 1u);
  EXPECT_EQ(gpu->device_bytes_in_use(), 2 * kGranule);
  ASSERT_TRUE(gpu->unmap(at + 2 * kGranule, 2 * kGranule).has_value());
  EXPECT_EQ(gpu->handles(), 0u);
  EXPECT_EQ(gpu->device_bytes_in_use(), 0u);
  EXPECT_EQ(gpu->peak_device_bytes(), 3 * kGranule);
  EXPECT_EQ(gpu->driver_calls(), 9u);
}

TEST(SimulatedGpu, NewMemoryIsZeroAndOldMemoryIsGone) {
  const auto gpu = make_simulated_gpu({});
  std::byte* at = gpu->reserve(kGranule, 0).value();
  for (int round = 0; round < 3; ++round) {
    const HandleId handle = gpu->create(kGranule, Place::kDevice).value();
    ASSERT_TRUE(gpu->map(at, kGranule, handle).has_value());
    ASSERT_TRUE(gpu->allow_access(at, kGranule, Place::kDevice).has_value());
    EXPECT_EQ(at[100], std::byte{0});
    at[100] = std::byte{1};
    ASSERT_TRUE(gpu->unmap(at, kGranule).has_value());
    ASSERT_TRUE(gpu->release(handle).has_value());
  }
}

TEST(SimulatedGpu, RefusesMisuse) {
  const auto gpu = make_simulated_gpu({});
  const HandleId handle = gpu->create(kGranule, Place::kDevice).value();
  const HandleId host = gpu->create(kGranule, Place::kHost).value();
  std::byte* at = gpu->reserve(4 * kGranule, 0).value();
  expect_usage(gpu->map(at, 2 * kGranule, handle), "which has 65536");
  expect_usage(gpu->map(at + 4096, kGranule, handle), "aligned");
  expect_usage(gpu->map(at + 4 * kGranule, kGranule, handle), "reservation");
  expect_usage(gpu->map(at, kGranule, HandleId{77}), "no handle 77");
  ASSERT_TRUE(gpu->map(at, kGranule, handle).has_value());
  ASSERT_TRUE(gpu->map(at + kGranule, kGranule, host).has_value());
  expect_usage(gpu->map(at, kGranule, host), "something is mapped");
  expect_usage(gpu->allow_access(at, 2 * kGranule, Place::kDevice), "whole device handles");
  expect_usage(gpu->allow_access(at, kGranule, Place::kHost), "whole host handles");
  expect_usage(gpu->unmap(at, 3 * kGranule), "whole mapped handles");
  expect_usage(gpu->unmap(at, 0), "whole mapped handles");
  expect_usage(gpu->free_addresses(at, 4 * kGranule), "still mapped");
  expect_usage(gpu->free_addresses(at, 2 * kGranule), "not reserved as one");
  ASSERT_TRUE(gpu->release(handle).has_value());
  expect_usage(gpu->release(handle), "released already");
  expect_usage(gpu->map(at + 2 * kGranule, kGranule, handle), "released");
  expect_usage(gpu->destroy_stream(Stream{at}), "no stream");
  expect_usage(gpu->synchronise(Stream{at}), "no stream");
  expect_usage(gpu->destroy_event(EventId{at}), "no event");
  expect_usage(gpu->record(EventId{}, {}), "no event");
  expect_usage(gpu->launch({.name = "nothing"}, {}, {}, {}), "no CPU stand-in");
}

TEST(SimulatedGpu, ReachesWhatIsMappedAccessibleOrRegistered) {
  const auto gpu = make_simulated_gpu({});
  const HandleId handle = gpu->create(kGranule, Place::kDevice).value();
  std::byte* at = gpu->reserve(2 * kGranule, 0).value();
  expect_usage(gpu->fill(at, std::byte{1}, 10, {}), "not mapped");
  ASSERT_TRUE(gpu->map(at, kGranule, handle).has_value());
  expect_usage(gpu->fill(at, std::byte{1}, 10, {}), "access is not allowed");
  ASSERT_TRUE(gpu->allow_access(at, kGranule, Place::kDevice).has_value());
  EXPECT_TRUE(gpu->fill(at, std::byte{1}, kGranule, {}).has_value());
  expect_usage(gpu->fill(at, std::byte{1}, kGranule + 1, {}), "does not reach");
  std::array<std::byte, 100> pageable{};
  expect_usage(gpu->copy(CopyRequest{at, pageable.data(), 100}, {}),
               "neither mapped nor registered");
  expect_usage(gpu->copy(CopyRequest{pageable.data(), at, 100}, {}),
               "neither mapped nor registered");
}

TEST(SimulatedGpu, ACoherentOneReachesAllHostMemory) {
  const auto gpu = make_simulated_gpu({.coherent = true});
  EXPECT_TRUE(gpu->info().coherent);
  std::array<std::byte, 100> here{};
  std::array<std::byte, 100> there{};
  here.fill(std::byte{4});
  ASSERT_TRUE(gpu->copy(CopyRequest{there.data(), here.data(), 100}, {}).has_value());
  ASSERT_TRUE(gpu->synchronise({}).has_value());
  EXPECT_EQ(there, here);
  std::byte* at = gpu->reserve(kGranule, 0).value();
  expect_usage(gpu->copy(CopyRequest{at, here.data(), 100}, {}), "not mapped");
}

TEST(SimulatedGpu, IsDescribedAsAGraceHopper) {
  const auto gpu = make_simulated_gpu(
      {.coherent = true, .host_node = 0, .device_node = 1, .driver_version = 12080});
  EXPECT_TRUE(gpu->info().pageable_access);
  EXPECT_EQ(gpu->info().host_node, 0);
  EXPECT_EQ(gpu->info().device_node, 1);
  EXPECT_EQ(gpu->info().driver_version, 12080);
  const auto other = make_simulated_gpu({});
  EXPECT_FALSE(other->info().pageable_access);
  EXPECT_EQ(other->info().device_node, -1);
}

TEST(SimulatedGpu, TouchingWhatIsNotMappedEndsTheProgram) {
  const auto gpu = make_simulated_gpu({});
  const HandleId handle = gpu->create(kGranule, Place::kHost).value();
  std::byte* at = gpu->reserve(kGranule, 0).value();
  volatile std::byte* target = at;
  EXPECT_DEATH(*target = std::byte{1}, "");
  ASSERT_TRUE(gpu->map(at, kGranule, handle).has_value());
  EXPECT_DEATH(*target = std::byte{1}, "");
  ASSERT_TRUE(gpu->allow_access(at, kGranule, Place::kHost).has_value());
  *target = std::byte{1};
  ASSERT_TRUE(gpu->unmap(at, kGranule).has_value());
  EXPECT_DEATH(*target = std::byte{1}, "");
}

// A kernel that waits until the test lets it go.
void wait_for_flag(std::span<const KernelArgument> arguments) {
  from_argument<std::atomic<int>*>(arguments[0])->wait(0);
}

TEST(SimulatedGpu, StreamsOverlapAndTheNullStreamIsOneOfThem) {
  const auto gpu = make_simulated_gpu({});
  std::atomic<int> flag = 0;
  const Kernel blocking{.name = "wait_for_flag", .stand_in = wait_for_flag};
  const Stream held = gpu->create_stream().value();
  const Stream free = gpu->create_stream().value();
  const EventId event = gpu->create_event().value();
  {
    std::array arguments{to_argument(&flag)};
    ASSERT_TRUE(gpu->launch(blocking, {}, arguments, held).has_value());
    arguments[0] = 0;  // a launch has copied them
  }
  ASSERT_TRUE(gpu->record(event, held).has_value());
  EXPECT_TRUE(gpu->synchronise(free).has_value());
  EXPECT_TRUE(gpu->synchronise({}).has_value());
  EXPECT_FALSE(gpu->ended(event).value());
  EXPECT_TRUE(gpu->destroy_stream(held).has_value());  // without waiting
  flag = 1;
  flag.notify_all();
  EXPECT_TRUE(gpu->wait(event).has_value());
  EXPECT_TRUE(gpu->ended(event).value());
}

TEST(SimulatedGpu, ManagedMemoryCountsWhereItWasBrought) {
  const auto gpu = make_simulated_gpu(
      {.total_bytes = 4 * kGranule, .host_bytes = 4 * kGranule, .granularity = kGranule});
  std::byte* const start = gpu->allocate_managed(8 * kGranule).value();
  EXPECT_EQ(gpu->device_bytes_in_use() + gpu->host_bytes_in_use(), 0U) << "nobody touched it";
  ASSERT_TRUE(gpu->prefetch(start, 3 * kGranule, Place::kDevice, {}));
  ASSERT_TRUE(gpu->prefetch(start + 2 * kGranule, 4 * kGranule, Place::kHost, {}));
  EXPECT_EQ(gpu->device_bytes_in_use(), 2 * kGranule);
  EXPECT_EQ(gpu->host_bytes_in_use(), 4 * kGranule);
  EXPECT_EQ(gpu->prefetch(start, 5 * kGranule, Place::kDevice, {}).error().code,
            ErrorCode::kMachine);
  expect_usage(gpu->prefetch(start, 9 * kGranule, Place::kDevice, {}), "managed memory");
  expect_usage(gpu->free_managed(start, kGranule), "as one");
  ASSERT_TRUE(gpu->free_managed(start, 8 * kGranule));
  EXPECT_EQ(gpu->device_bytes_in_use() + gpu->host_bytes_in_use(), 0U);
}

TEST(SimulatedGpu, CopiesBetweenPlacesTakeAsLongAsTheirRateSays) {
  const auto gpu = make_simulated_gpu(
      {.coherent = true,
       .copy_rates = {.to_device_bytes_per_second = 1e5, .to_host_bytes_per_second = 2e4}});
  std::byte* at = gpu->reserve(kGranule, 0).value();
  const HandleId handle = gpu->create(kGranule, Place::kDevice).value();
  ASSERT_TRUE(gpu->map(at, kGranule, handle).has_value());
  ASSERT_TRUE(gpu->allow_access(at, kGranule, Place::kDevice).has_value());
  std::array<std::byte, 1000> host{};
  const auto seconds = [&](std::byte* to, const std::byte* from) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(gpu->copy(CopyRequest{to, from, host.size()}, {}).has_value());
    EXPECT_TRUE(gpu->synchronise({}).has_value());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  EXPECT_GE(seconds(at, host.data()), 0.010);
  EXPECT_GE(seconds(host.data(), at), 0.050);
}

}  // namespace
}  // namespace spillway::platform
