// The system gives no thread, at the n-th that is asked for: pthread_create() of this program
// stands in front of the real one.
#include <dlfcn.h>
#include <pthread.h>

#include <gmock/gmock.h>

#include <atomic>
#include <cerrno>

#include "base/thread_pool.h"
#include "base/units.h"
#include "platform/linux/linux_platform.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory.h"

namespace {

std::atomic<int> threads_left = -1;  // until one is refused and all after it; -1: none is

}  // namespace

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) {
  static auto* const real =
      reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_left == 0) return EAGAIN;
  if (threads_left > 0) --threads_left;
  return real(thread, attributes, start, argument);
}

namespace spillway::memory {
namespace {

class ThreadFaults : public ::testing::Test {
 protected:
  void TearDown() override { threads_left = -1; }
};

TEST_F(ThreadFaults, APoolWithoutAThreadIsAnError) {
  const auto gpu = platform::make_simulated_gpu({});
  threads_left = 0;
  const auto pool = Pool::create(*gpu, {.hbm_budget_bytes = kMiB, .host_budget_bytes = kMiB});
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code, ErrorCode::kMachine);
  EXPECT_THAT(pool.error().message, ::testing::HasSubstr("ulimit -u"));
}

TEST_F(ThreadFaults, ATeamIsAsLargeAsTheSystemLetsIt) {
  for (const int given : {0, 1, 2}) {
    threads_left = given;
    ThreadPool pool(4);
    threads_left = -1;
    EXPECT_EQ(pool.threads(), static_cast<unsigned>(given) + 1);
    std::atomic<size_t> sum = 0;
    pool.run(1000, 10, [&](size_t begin, size_t end) { sum += end - begin; });
    EXPECT_EQ(sum, 1000U);
  }
}

TEST_F(ThreadFaults, PinnedMemoryIsMadeAllTheSame) {
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = kMiB, .host_budget_bytes = 16 * kMiB}).value();
  threads_left = 0;
  const auto made = PinnedMemory::create(*pool, {.bytes = 8 * kMiB, .threads = 4});
  threads_left = -1;
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ((*made)->bytes().back(), std::byte{0});
}

// A log of four threads; the system gives two.
TEST_F(ThreadFaults, AReplayWithoutThreadsEnds) {
  std::vector<LogEvent> events;
  for (uint64_t i = 0; i < 8; ++i)
    events.push_back({.thread = i % 4,
                      .action = LogAction::kAllocate,
                      .pointer = 0x1000 * (i + 1),
                      .bytes = 256});
  const auto gpu = platform::make_simulated_gpu({});
  const auto pool =
      Pool::create(*gpu, {.hbm_budget_bytes = 32 * kMiB, .host_budget_bytes = 0}).value();
  const auto allocator = StreamAllocator::create(*pool, {}).value();
  ASSERT_TRUE(allocator->allocate(Stream{}, 1));  // the GPU's threads are there
  const Replay replay(events);
  threads_left = 2;
  const auto result = replay.run(AnyResource(*allocator), {.threads = ReplayThreads::kEach});
  threads_left = -1;
  EXPECT_EQ(result.allocations, 8U);
}

}  // namespace
}  // namespace spillway::memory
