#include <gtest/gtest.h>

#include "platform/simulated/simulated_platform.h"
#include "platform/simulated/virtual_disk.h"

namespace spillway::platform {
namespace {

double finish(VirtualDisk& disk, uint64_t transfer) {
  while (!disk.finished_at(transfer)) disk.step();
  return *disk.finished_at(transfer);
}

TEST(VirtualDisk, ATransferTakesLatencyAndBandwidth) {
  VirtualDisk disk(1000, 0.5);
  EXPECT_DOUBLE_EQ(finish(disk, disk.start(2000)), 2.5);
  EXPECT_DOUBLE_EQ(disk.now(), 2.5);
  EXPECT_DOUBLE_EQ(finish(disk, disk.start(0)), 2.5);
}

TEST(VirtualDisk, LatenciesOverlapAndTheBandwidthIsShared) {
  VirtualDisk disk(1000, 0.5);
  const uint64_t one = disk.start(1000);
  const uint64_t two = disk.start(1000);
  EXPECT_DOUBLE_EQ(finish(disk, one), 2.5);
  EXPECT_DOUBLE_EQ(finish(disk, two), 2.5);
}

TEST(VirtualDisk, ASmallTransferOvertakesALargeOne) {
  VirtualDisk disk(1000, 0);
  const uint64_t large = disk.start(3000);
  disk.advance(1);                         // 2000 left
  const uint64_t small = disk.start(500);  // each at 500/s
  EXPECT_DOUBLE_EQ(finish(disk, small), 2);
  EXPECT_DOUBLE_EQ(finish(disk, large), 3.5);
}

TEST(VirtualDisk, TransfersGoOnWhileTimeIsSpent) {
  VirtualDisk disk(1000, 0.5);
  const uint64_t transfer = disk.start(1000);
  disk.advance(10);
  EXPECT_DOUBLE_EQ(disk.now(), 10);
  EXPECT_DOUBLE_EQ(disk.finished_at(transfer).value(), 1.5);
}

TEST(VirtualDisk, ManyUnevenTransfersAllEnd) {
  VirtualDisk disk(3e9, 1e-4);
  disk.advance(1e6);  // where a double holds nanoseconds no longer
  std::vector<uint64_t> transfers;
  double bytes = 0;
  for (uint64_t i = 1; i <= 50; ++i) {
    transfers.push_back(disk.start(i * 7919));
    bytes += static_cast<double>(i * 7919);
  }
  double last = 0;
  for (uint64_t transfer : transfers) last = std::max(last, finish(disk, transfer));
  EXPECT_NEAR(last, 1e6 + 1e-4 + bytes / 3e9, 1e-8);
}

TEST(SimulatedPlatform, ReadsCostTimeAndComeBackInTheOrderInWhichTheyFinish) {
  const auto machine = make_simulated_platform(
      {.disk_bytes_per_second = 1 << 20, .disk_latency_seconds = 0, .offset_alignment = 4096});
  machine->put_file("file", std::vector<std::byte>(1 << 20));
  const auto file = machine->open("file", {}).value();
  const auto queue = file->open_queue(2).value();
  const auto range = machine->reserve(1 << 20).value();
  ASSERT_TRUE(range->commit(0, 1 << 20).has_value());
  ASSERT_TRUE(queue->submit({0, range->bytes().first(1 << 19), 1}).has_value());
  ASSERT_TRUE(queue->submit({1 << 19, range->bytes().last(1 << 18), 2}).has_value());
  EXPECT_EQ(queue->wait().value().id, 2u);
  EXPECT_DOUBLE_EQ(machine->clock().seconds(), 0.5);
  EXPECT_EQ(queue->wait().value().id, 1u);
  EXPECT_DOUBLE_EQ(machine->clock().seconds(), 0.75);
  machine->spend(1);
  EXPECT_DOUBLE_EQ(machine->clock().seconds(), 1.75);
}

TEST(SimulatedPlatform, BytesAreNotThereBeforeTheReadIsWaitedFor) {
  const auto machine = make_simulated_platform({});
  machine->put_file("file", std::vector<std::byte>(4096, std::byte{1}));
  const auto file = machine->open("file", {}).value();
  const auto queue = file->open_queue(1).value();
  const auto range = machine->reserve(4096).value();
  ASSERT_TRUE(range->commit(0, 4096).has_value());
  ASSERT_TRUE(queue->submit({0, range->bytes(), 1}).has_value());
  machine->spend(10);
  EXPECT_NE(range->bytes().front(), std::byte{1});
  ASSERT_TRUE(queue->wait().has_value());
  EXPECT_EQ(range->bytes().front(), std::byte{1});
}

TEST(SimulatedPlatform, CachedBytesCostNoTimeAndGiveWayToCommits) {
  const auto machine = make_simulated_platform({.host_bytes = 1 << 20});
  machine->put_file("file", std::vector<std::byte>(600000));
  machine->put_file("large", std::vector<std::byte>(3 << 20));
  const auto file = machine->open("file", {.caching = Caching::kUse}).value();
  const auto large = machine->open("large", {.caching = Caching::kUse}).value();
  std::vector<std::byte> target(3 << 20);
  ASSERT_EQ(file->read(0, target).value(), 600000u);
  const double cold = machine->clock().seconds();
  ASSERT_EQ(file->read(0, target).value(), 600000u);
  EXPECT_EQ(machine->clock().seconds(), cold);
  ASSERT_EQ(large->read(0, target).value(), target.size());
  EXPECT_EQ(large->cached_bytes(), 0u);
  const auto range = machine->reserve(1 << 20).value();
  ASSERT_TRUE(range->commit(0, 1 << 18).has_value());
  EXPECT_EQ(file->cached_bytes(), 600000u);
  ASSERT_TRUE(range->commit(0, 1 << 20).has_value());
  EXPECT_EQ(file->cached_bytes(), 0u);
}

}  // namespace
}  // namespace spillway::platform
