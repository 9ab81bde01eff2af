// Measurements on a simulated machine find the rates that it was made with.
#include <gtest/gtest.h>

#include "base/units.h"
#include "machine/disk_load.h"
#include "machine/measure.h"
#include "platform/simulated/simulated_platform.h"

namespace spillway::machine {
namespace {

using platform::Operation;

constexpr double kDiskRate = 1e9;
constexpr double kLatency = 200e-6;

class Measure : public testing::Test {
 protected:
  Measure() { put(16 * kMiB); }
  void put(size_t bytes) {
    machine_->put_file("model", std::vector<std::byte>(bytes));
    file_ = machine_->open("model", {}).value();
  }
  void expect_nothing_held() const {
    EXPECT_EQ(budget_.usage().bytes, 0u);
    EXPECT_EQ(machine_->committed_bytes(), 0u);
  }
  // All reads in flight start together, wait for the latency and share the bandwidth.
  static double expected_rate(size_t block_bytes, unsigned depth) {
    const double bytes = static_cast<double>(block_bytes) * depth;
    return bytes / (kLatency + bytes / kDiskRate);
  }

  std::unique_ptr<platform::SimulatedPlatform> machine_ = platform::make_simulated_platform(
      {.disk_bytes_per_second = kDiskRate, .disk_latency_seconds = kLatency});
  memory::Budget budget_{memory::Tier::kHost, 8 * kMiB};
  std::unique_ptr<platform::File> file_;
};

TEST_F(Measure, SweepsFindTheDisksRate) {
  for (const size_t block : {64 * kKiB, kMiB}) {
    for (const unsigned depth : {1U, 4U, 8U}) {
      const auto rate = sweep_disk(*machine_, budget_, *file_, {block, depth});
      ASSERT_TRUE(rate.has_value()) << rate.error().message;
      const double expected = expected_rate(block, depth);
      EXPECT_NEAR(*rate, expected, 0.01 * expected) << block << " bytes, " << depth << " deep";
    }
  }
  EXPECT_EQ(budget_.usage(memory::Tag::kStaging).peak_bytes, 8 * kMiB);
  expect_nothing_held();
}

TEST_F(Measure, ASweepReadsItsPartOnceAndNoMore) {
  put(3 * kMiB + 777);
  for (const uint64_t first : {uint64_t{0}, uint64_t{kMiB + 5}, uint64_t{3 * kMiB}}) {
    const double started = machine_->clock().seconds();
    const auto rate = sweep_disk(*machine_, budget_, *file_,
                                 {.block_bytes = 100000, .depth = 3, .first_byte = first});
    ASSERT_TRUE(rate.has_value()) << rate.error().message;
    const double bytes = *rate * (machine_->clock().seconds() - started);
    EXPECT_NEAR(bytes, static_cast<double>(3 * kMiB + 777 - round_down(first, 512)), 1.0);
  }
}

TEST_F(Measure, ASweepEndsWhereItWasToldTo) {
  const uint64_t before = machine_->operations(Operation::kSubmit);
  const Sweep sweep{.block_bytes = 64 * kKiB, .depth = 4, .first_byte = 0, .size_bytes = kMiB};
  ASSERT_TRUE(sweep_disk(*machine_, budget_, *file_, sweep).has_value());
  EXPECT_EQ(machine_->operations(Operation::kSubmit) - before, 16u);
}

TEST_F(Measure, NothingToReadIsABadFile) {
  const auto past = sweep_disk(*machine_, budget_, *file_,
                               {.block_bytes = 4096, .depth = 1, .first_byte = 16 * kMiB});
  ASSERT_FALSE(past.has_value());
  EXPECT_EQ(past.error().code, ErrorCode::kBadFile);
  put(0);
  const auto empty = measure_disk(*machine_, budget_, *file_, kMiB);
  ASSERT_FALSE(empty.has_value());
  EXPECT_EQ(empty.error().code, ErrorCode::kBadFile);
  expect_nothing_held();
}

TEST_F(Measure, ABudgetThatIsTooSmallIsSaid) {
  memory::Budget small(memory::Tier::kHost, 8 * kMiB - 1);
  const auto sweep = sweep_disk(*machine_, small, *file_, {kMiB, 8});
  ASSERT_FALSE(sweep.has_value());
  EXPECT_EQ(sweep.error().code, ErrorCode::kBudget);
  const auto disk = measure_disk(*machine_, small, *file_, 8 * kMiB);
  ASSERT_FALSE(disk.has_value());
  EXPECT_EQ(disk.error().code, ErrorCode::kBudget);
  ThreadPool pool(1);
  const auto dram = measure_dram(*machine_, small, pool, 8 * kMiB);
  ASSERT_FALSE(dram.has_value());
  EXPECT_EQ(dram.error().code, ErrorCode::kBudget);
  EXPECT_EQ(small.usage().bytes, 0u);
  expect_nothing_held();
}

TEST_F(Measure, TheGridFitsTheStaging) {
  EXPECT_EQ(sweep_grid(0).size(), 1u);
  for (const uint64_t staging : {4 * kKiB, 255 * kKiB, 256 * kKiB, kMiB, 4 * kMiB, 64 * kMiB}) {
    const auto grid = sweep_grid(staging);
    EXPECT_FALSE(grid.empty());
    for (const Sweep& sweep : grid) EXPECT_LE(sweep.block_bytes * sweep.depth, staging);
  }
  EXPECT_EQ(sweep_grid(64 * kMiB).size(), 25u);
}

TEST_F(Measure, TheTableHasTheDisksRates) {
  const auto disk = measure_disk(*machine_, budget_, *file_, 4 * kMiB);
  ASSERT_TRUE(disk.has_value()) << disk.error().message;
  EXPECT_EQ(disk->rates.size(), sweep_grid(4 * kMiB).size());
  for (const DiskRate& rate : disk->rates) {
    const double expected = expected_rate(rate.block_bytes, rate.depth);
    EXPECT_NEAR(rate.bytes_per_second, expected, 0.01 * expected)
        << rate.block_bytes << " bytes, " << rate.depth << " deep";
  }
  expect_nothing_held();
}

// The simulated disk serves what is in flight together; half of these slots are.
TEST_F(Measure, ARingsRateIsThatOfItsReads) {
  std::vector<memory::StreamRange> cycle;
  for (uint64_t i = 0; i < 16; ++i) cycle.push_back({i * kMiB + 100, kMiB - 4 * kKiB});
  const auto rate =
      sweep_ring(*machine_, budget_, *file_, cycle, {.slot_bytes = kMiB, .slots = 4, .depth = 4});
  ASSERT_TRUE(rate.has_value()) << rate.error().message;
  EXPECT_GT(*rate, 0.9 * expected_rate(kMiB, 1));
  EXPECT_LT(*rate, 1.01 * expected_rate(kMiB, 4));
  EXPECT_EQ(budget_.usage(memory::Tag::kStaging).peak_bytes, 4 * kMiB);
  expect_nothing_held();
}

TEST_F(Measure, ADiskLoadReadsRoundAndRound) {
  constexpr unsigned kDepth = 4;
  {
    auto load = DiskLoad::create(*machine_, budget_, *file_, {3 * kMiB / 2, kDepth});
    ASSERT_TRUE(load.has_value()) << load.error().message;
    EXPECT_EQ((*load)->bytes_read(), 0u);
    for (int i = 0; i < 40; ++i) {
      machine_->spend(0.1);
      ASSERT_TRUE((*load)->step().has_value());
    }
    EXPECT_EQ((*load)->bytes_read(), 40u * kDepth * 3 * kMiB / 2);
  }
  expect_nothing_held();
  put(kMiB);
  const auto refused = DiskLoad::create(*machine_, budget_, *file_, {2 * kMiB, kDepth});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBadFile);
}

TEST_F(Measure, StopsWhenItIsTold) {
  const std::atomic<bool> stop = true;
  const auto disk = measure_disk(*machine_, budget_, *file_, kMiB, &stop);
  ASSERT_FALSE(disk.has_value());
  EXPECT_EQ(disk.error().code, ErrorCode::kInterrupted);
}

TEST_F(Measure, FailingOperationsAreTheMachines) {
  for (const Operation operation : {Operation::kReserve, Operation::kCommit, Operation::kSubmit,
                                    Operation::kWait, Operation::kRead}) {
    for (const uint64_t n : {uint64_t{1}, uint64_t{3}}) {
      machine_->fail_operation(operation, n, false);
      const auto disk = measure_disk(*machine_, budget_, *file_, kMiB);
      ASSERT_FALSE(disk.has_value());
      EXPECT_EQ(disk.error().code, ErrorCode::kMachine);
      machine_->fail_operation(operation, 0, false);
      expect_nothing_held();
    }
  }
}

// A virtual clock does not see computing: only that a rate comes out, and what is held.
TEST_F(Measure, DramGivesARateAndItsMemoryBack) {
  for (const unsigned threads : {1U, 2U}) {
    ThreadPool pool(threads);
    const auto rate = measure_dram(*machine_, budget_, pool, 4 * kMiB);
    ASSERT_TRUE(rate.has_value()) << rate.error().message;
    EXPECT_GT(*rate, 0);
  }
  EXPECT_EQ(budget_.usage().peak_bytes, 4 * kMiB);
  expect_nothing_held();
}

}  // namespace
}  // namespace spillway::machine
