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

}  // namespace
}  // namespace spillway
