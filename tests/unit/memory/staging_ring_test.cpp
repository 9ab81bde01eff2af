// What the ring does with time, on a virtual clock. Its answers are tested on every platform by
// tests/contract/memory.
#include "memory/staging_ring.h"

#include <gtest/gtest.h>

#include "../../support/pattern.h"
#include "base/units.h"
#include "platform/simulated/simulated_platform.h"

namespace spillway::memory {
namespace {

using platform::Operation;

constexpr size_t kBlock = 64 * kKiB;
constexpr size_t kEntries = 10;
constexpr unsigned kSlots = 4;
constexpr double kRate = 1e9;
// Small beside a read: the virtual disk shares its rate evenly, so that reads started together end
// together, and a latency that follows each such round is seen.
constexpr double kLatency = 5e-6;
constexpr double kReadSeconds = static_cast<double>(kBlock) / kRate;

class RingInTime : public testing::Test {
 protected:
  RingInTime() {
    platform_->put_file("model", test::patterned_bytes(kEntries * kBlock));
    file_ = platform_->open("model", {}).value();
    ring_ = create({.slot_bytes = kBlock, .slots = kSlots});
  }

  std::unique_ptr<StagingRing> create(StagingRing::Options options) {
    std::vector<StreamRange> cycle;
    for (size_t i = 0; i < kEntries; ++i) cycle.push_back({.offset = i * kBlock, .size = kBlock});
    return StagingRing::create(*platform_, budget_, *file_, cycle, options).value();
  }

  double wait_seconds() const { return ring_->statistics().wait_seconds; }
  uint64_t submitted() const { return platform_->operations(Operation::kSubmit); }
  void use(size_t index) {
    ASSERT_TRUE(ring_->acquire(index).has_value());
    ASSERT_TRUE(ring_->release(index).has_value());
  }

  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform(
      {.disk_bytes_per_second = kRate, .disk_latency_seconds = kLatency});
  Budget budget_{Tier::kHost, kMiB};
  std::unique_ptr<platform::File> file_;
  std::unique_ptr<StagingRing> ring_;
};

TEST_F(RingInTime, FillsEverySlotBeforeItIsAsked) {
  EXPECT_EQ(submitted(), kSlots);
  platform_->spend(1);
  for (size_t i = 0; i < kSlots; ++i) ASSERT_TRUE(ring_->acquire(i).has_value());
  EXPECT_EQ(wait_seconds(), 0);
  EXPECT_EQ(submitted(), kSlots);  // all are held
}

TEST_F(RingInTime, TakesWholeHugePagesFromOneOn) {
  const auto bytes = [&](size_t slot_bytes, unsigned slots) {
    return StagingRing::memory_bytes({.slot_bytes = slot_bytes, .slots = slots}, file_->info(),
                                     platform_->page_bytes());
  };
  EXPECT_EQ(bytes(kBlock, 4), 4 * kBlock);
  EXPECT_EQ(bytes(kBlock - 100, 4), 4 * kBlock);  // whole pages
  EXPECT_EQ(bytes(2 * kMiB - 100'000, 3), 6 * kMiB);
}

TEST_F(RingInTime, RefillsASlotAtOnce) {
  ASSERT_TRUE(ring_->acquire(0).has_value());
  EXPECT_EQ(submitted(), kSlots);
  ASSERT_TRUE(ring_->release(0).has_value());
  EXPECT_EQ(submitted(), kSlots + 1);
}

TEST_F(RingInTime, ReadsAheadAcrossTheEndOfATurn) {
  for (size_t i = 0; i < kEntries; ++i) use(i);
  const double waited = wait_seconds();
  platform_->spend(1);
  for (size_t i = 0; i < kSlots; ++i) use(i);
  EXPECT_EQ(wait_seconds(), waited);
}

TEST_F(RingInTime, KeepsTheDiskBusyWhileNobodyComputes) {
  const double start = platform_->clock().seconds();
  constexpr size_t kTurns = 20;
  for (size_t turn = 0; turn < kTurns; ++turn) {
    for (size_t i = 0; i < kEntries; ++i) use(i);
  }
  const double elapsed = platform_->clock().seconds() - start;
  const double least = kTurns * kEntries * kReadSeconds;
  EXPECT_GE(elapsed, 0.99 * least - kSlots * kReadSeconds);
  EXPECT_LE(elapsed, 1.05 * least + kLatency);
  EXPECT_NEAR(wait_seconds(), elapsed, 1e-6);  // there was nothing else to do
}

TEST_F(RingInTime, HidesReadsBehindComputingThatTakesLonger) {
  use(0);
  const double waited = wait_seconds();
  for (size_t i = 1; i < 3 * kEntries; ++i) {
    platform_->spend(1.5 * kReadSeconds);
    use(i % kEntries);
  }
  EXPECT_LE(wait_seconds() - waited, kLatency + kReadSeconds);  // while it starts
}

TEST_F(RingInTime, AsksTheDiskAgainBeforeWhatItReadIsUsed) {
  const uint64_t before = submitted();
  ring_ = create({.slot_bytes = kBlock, .slots = kSlots, .depth = 2});
  EXPECT_EQ(submitted() - before, 2u);
  platform_->spend(1);
  ASSERT_TRUE(ring_->acquire(0).has_value());  // two have been read by now
  EXPECT_EQ(submitted() - before, 4u);
  ASSERT_TRUE(ring_->acquire(1).has_value());
  EXPECT_EQ(submitted() - before, 4u);  // every slot is in use
  ASSERT_TRUE(ring_->release(0).has_value());
  EXPECT_EQ(submitted() - before, 4u);  // two are on their way
  platform_->spend(1);
  ASSERT_TRUE(ring_->release(1).has_value());
  EXPECT_EQ(submitted() - before, 6u);
}

TEST_F(RingInTime, ReadsNothingThatIsSkippedInTime) {
  for (size_t i = 5; i < kEntries; ++i) ASSERT_TRUE(ring_->release(i).has_value());
  for (size_t i = 0; i < 5; ++i) use(i);
  use(0);  // of the next turn
  EXPECT_EQ(submitted(), 5u + 1 + kSlots);
  EXPECT_EQ(ring_->statistics().bytes_used, 6 * kBlock);
}

TEST_F(RingInTime, DropsReadsOfWhatIsSkippedTooLate) {
  ASSERT_TRUE(ring_->release(0).has_value());
  ASSERT_TRUE(ring_->release(1).has_value());
  EXPECT_EQ(submitted(), kSlots);  // their slots are still being written to
  use(2);
  EXPECT_EQ(submitted(), kSlots + 3);
  EXPECT_EQ(ring_->statistics().bytes_used, kBlock);
}

TEST_F(RingInTime, CountsWhatItDoes) {
  for (size_t i = 0; i < kEntries; ++i) use(i);
  const StreamStatistics& statistics = ring_->statistics();
  EXPECT_EQ(statistics.bytes_used, kEntries * kBlock);
  EXPECT_GE(statistics.reads, kEntries);
  EXPECT_EQ(statistics.bytes_read, statistics.reads * kBlock);
  EXPECT_EQ(ring_->method(), "simulated");
}

using RingInTimeDeathTest = RingInTime;

TEST_F(RingInTimeDeathTest, AnEntryPastTheReachOfTheSlotsIsABug) {
  EXPECT_DEATH((void)ring_->acquire(kSlots), "bug in spillway");
}

}  // namespace
}  // namespace spillway::memory
