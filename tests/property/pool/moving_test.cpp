// Launches read and write pinned extents while others move at random: every word is checked, and
// budgets are sampled. ThreadSanitizer sees a move that does not wait for a launch as a data race.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "base/units.h"
#include "ops/pattern_kernels.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory/pool.h"

namespace spillway::memory {
namespace {

constexpr size_t kExtent = 64 * kKiB;
constexpr size_t kExtents = 24;
constexpr size_t kHbmExtents = 10;
constexpr size_t kWriters = 2;

struct Setting {
  Eviction eviction;
  unsigned seed;
  bool managed;
};

class Moving : public ::testing::TestWithParam<Setting> {
 protected:
  static ops::PatternRange pattern(const Pin& pin, uint64_t seed) {
    return {reinterpret_cast<uint64_t*>(pin.data()), pin.size_bytes() / sizeof(uint64_t), seed};
  }
  Result<void> check(const Pin& pin, uint64_t seed, Stream stream) {
    return ops::check_pattern(*gpu_, pattern(pin, seed), &wrong_, stream);
  }

  // Each writer owns the extents i with i % kWriters == writer.
  void write_and_check(size_t writer) {
    std::mt19937 random(GetParam().seed * 10 + static_cast<unsigned>(writer));
    const Stream stream = gpu_->create_stream().value();
    std::vector<uint64_t> seeds(kExtents, 0);
    for (int step = 0; step < 150 || (step < 100000 && !moved_enough()); ++step) {
      const size_t extent = random() % (kExtents / kWriters) * kWriters + writer;
      const Pin pin = region_->pin(extent * kExtent, kExtent, stream).value();
      if (seeds[extent] != 0) {
        ASSERT_TRUE(check(pin, seeds[extent], stream));
      }
      if (random() % 2 == 0) {
        seeds[extent] = 1 + random();
        ASSERT_TRUE(ops::fill_pattern(*gpu_, pattern(pin, seeds[extent]), stream));
      }
      if (step % 4 == 3) {  // a few launches under way
        ASSERT_TRUE(gpu_->synchronise(stream));
      }
    }
    for (size_t i = writer; i < kExtents; i += kWriters) {
      if (seeds[i] == 0) continue;
      const Pin pin = region_->pin(i * kExtent, kExtent, stream).value();
      ASSERT_TRUE(check(pin, seeds[i], stream));
    }
    ASSERT_TRUE(gpu_->synchronise(stream));
    ASSERT_TRUE(gpu_->destroy_stream(stream));
  }

  bool moved_enough() const {
    const PoolStatistics statistics = pool_->statistics();
    return statistics.extents_to_hbm > 50 && statistics.extents_to_host > 50;
  }

  void move_at_random() {
    std::mt19937 random(GetParam().seed * 10 + 9);
    while (!stop_) {
      const size_t first = random() % kExtents;
      const size_t count = 1 + random() % std::min<size_t>(6, kExtents - first);
      const Tier tier = random() % 2 == 0 ? Tier::kHbm : Tier::kHost;
      if (const auto transfer = region_->move(first * kExtent, count * kExtent, tier)) {
        const auto moved = transfer->wait();
        EXPECT_TRUE(moved || moved.error().code == ErrorCode::kBudget) << moved.error().message;
      } else {
        EXPECT_EQ(transfer.error().code, ErrorCode::kUsage) << "pinned";
      }
      const uint64_t in_use = gpu_->device_bytes_in_use();
      EXPECT_LE(in_use, kHbmExtents * kExtent);
      EXPECT_LE(in_use, pool_->budget(Tier::kHbm).usage().peak_bytes);
    }
  }

  std::unique_ptr<platform::SimulatedGpu> gpu_ =
      platform::make_simulated_gpu({.work_delay = std::chrono::microseconds(50)});
  std::unique_ptr<Pool> pool_ = Pool::create(*gpu_, {.hbm_budget_bytes = kHbmExtents * kExtent,
                                                     .host_budget_bytes = 2 * kExtents * kExtent,
                                                     .kept_bytes = 2 * kExtent,
                                                     .managed = GetParam().managed})
                                    .value();
  std::unique_ptr<Region> region_;
  uint64_t wrong_ = 0;  // the GPU counts here
  std::atomic<bool> stop_ = false;
};

TEST_P(Moving, NoByteIsWrongAndNoBudgetIsBroken) {
  region_ = pool_
                ->create_region({.size_bytes = kExtents * kExtent,
                                 .extent_bytes = kExtent,
                                 .tag = Tag::kKv,
                                 .name = "moving",
                                 .eviction = GetParam().eviction})
                .value();
  ASSERT_TRUE(region_->make_resident(0, kExtents * kExtent, Tier::kHost));
  {
    std::jthread first_mover([this] { move_at_random(); });
    std::jthread second_mover([this] { move_at_random(); });
    {
      std::vector<std::jthread> writers;
      for (size_t i = 0; i < kWriters; ++i) writers.emplace_back([this, i] { write_and_check(i); });
    }
    stop_ = true;
  }
  EXPECT_EQ(wrong_, 0U);
  const PoolStatistics statistics = pool_->statistics();
  EXPECT_GT(statistics.extents_to_hbm, 50U);
  EXPECT_GT(statistics.extents_to_host, 50U);
  EXPECT_LE(gpu_->peak_device_bytes(), kHbmExtents * kExtent);
  region_.reset();
  pool_->trim();
  EXPECT_EQ(gpu_->handles(), 0U);
  EXPECT_EQ(gpu_->mappings(), 0U);
  EXPECT_EQ(gpu_->managed_ranges(), 0U);
  EXPECT_EQ(pool_->budget(Tier::kHost).usage().bytes, 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Moving,
                         ::testing::Values(Setting{Eviction::kNever, 1, false},
                                           Setting{Eviction::kLeastRecentlyPinned, 2, false},
                                           Setting{Eviction::kLeastRecentlyPinned, 3, false},
                                           Setting{Eviction::kLeastRecentlyPinned, 4, true}));

}  // namespace
}  // namespace spillway::memory
