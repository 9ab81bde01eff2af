#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace spillway {
namespace {

TEST(ThreadPool, RunsEveryIndexOnce) {
  for (unsigned threads : {1u, 2u, 5u}) {
    ThreadPool pool(threads);
    for (size_t count : {0u, 1u, 7u, 1000u}) {
      for (size_t grain : {1u, 3u, 2000u}) {
        std::vector<std::atomic<int>> visits(count);
        pool.run(count, grain, [&](size_t begin, size_t end) {
          EXPECT_LE(end - begin, grain);
          for (size_t i = begin; i < end; ++i) ++visits[i];
        });
        for (const auto& visit : visits) EXPECT_EQ(visit.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, SurvivesManyShortLoops) {
  ThreadPool pool(2);
  std::atomic<size_t> sum = 0;
  for (int loop = 0; loop < 20000; ++loop) {
    pool.run(2, 1, [&](size_t begin, size_t) { sum += begin + 1; });
  }
  EXPECT_EQ(sum.load(), 60000u);
}

// It is called in, never read: it may be gone by then.
TEST(ThreadPool, TakesAnyMemoryForWhatComesSoon) {
  ThreadPool pool(3);
  const std::vector<std::byte> here(100000);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): memory that is not there
  const auto* nowhere = reinterpret_cast<const std::byte*>(uintptr_t{64});
  const ThreadPool::Memory memories[] = {here, {nowhere, 1000000}, {}, here};
  std::atomic<size_t> sum = 0;
  for (size_t loop = 0; loop < 5000; ++loop) {
    const auto soon = std::span(memories).first(loop % 5);
    pool.run(
        6, 1, [&](size_t begin, size_t) { sum += begin; }, soon);
  }
  EXPECT_EQ(sum.load(), 5000u * 15u);
}

// Of threads that never spin each loop wakes some, and is awaited asleep.
TEST(ThreadPool, WakesThreadsAndIsWoken) {
  ThreadPool pool(4, 0);
  std::vector<size_t> found(64);
  for (size_t loop = 0; loop < 3000; ++loop) {
    pool.run(found.size(), 1 + loop % 20, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) found[i] += loop;
    });
  }
  EXPECT_EQ(found, std::vector<size_t>(64, 3000u * 2999u / 2));
}

// Those that get nothing of a loop sleep through it, and others wake in the middle of one.
TEST(ThreadPool, WakesOnlyWhoHasSomethingToDo) {
  for (int spins : {0, 1, 50}) {
    ThreadPool pool(7, spins);
    std::vector<size_t> found(64);
    for (size_t loop = 0; loop < 2000; ++loop) {
      const size_t count = 2 + loop * 7 % 63;
      pool.run(count, 1 + loop % 9 * 4, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) ++found[i];
      });
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(found[i], 1u) << "loop " << loop;
      found.assign(found.size(), 0);
    }
  }
}

TEST(ThreadPool, EndsWhileThreadsAreLate) {
  for (int i = 0; i < 300; ++i) {
    ThreadPool pool(9, i % 3);
    std::atomic<size_t> sum = 0;
    pool.run(1 + static_cast<size_t>(i) % 12, 1, [&](size_t begin, size_t) { sum += begin; });
  }
}

TEST(ThreadPool, SharesALoopEvenly) {
  ThreadPool pool(2);
  EXPECT_EQ(pool.part_begin(60, 8, 1), 30u);
  EXPECT_EQ(pool.part_begin(60, 8, 2), 60u);
  EXPECT_EQ(pool.part_begin(7, 8, 1), 7u);  // one thread's by itself
}

// More threads than cores: most come late to a loop, or not at all.
TEST(ThreadPool, LateWorkersMissNothingAndRepeatNothing) {
  ThreadPool pool(32);
  for (size_t loop = 0; loop < 3000; ++loop) {
    const size_t count = 1 + loop % 61;
    std::vector<std::atomic<int>> visits(count);
    pool.run(count, 1, [&](size_t begin, size_t) { ++visits[begin]; });
    for (const auto& visit : visits) ASSERT_EQ(visit.load(), 1);
  }
}

}  // namespace
}  // namespace spillway
