// Rates between measured points: logarithmic axes, the edge's rate beyond them.
#include <gtest/gtest.h>

#include "machine/machine.h"

namespace spillway::machine {
namespace {

Disk two_by_two() {
  // Out of order on purpose.
  return {{{4096, 4, 800.0}, {1024, 1, 100.0}, {4096, 1, 300.0}, {1024, 4, 400.0}}};
}

TEST(DiskRate, IsTheMeasuredOneAtMeasuredPoints) {
  const Disk disk = two_by_two();
  EXPECT_DOUBLE_EQ(disk.rate(1024, 1), 100);
  EXPECT_DOUBLE_EQ(disk.rate(4096, 1), 300);
  EXPECT_DOUBLE_EQ(disk.rate(1024, 4), 400);
  EXPECT_DOUBLE_EQ(disk.rate(4096, 4), 800);
}

TEST(DiskRate, GoesHalfwayAtTheGeometricMeanOfTwoPoints) {
  const Disk disk = two_by_two();
  EXPECT_DOUBLE_EQ(disk.rate(2048, 1), 200);
  EXPECT_DOUBLE_EQ(disk.rate(2048, 4), 600);
  EXPECT_DOUBLE_EQ(disk.rate(1024, 2), 250);
  EXPECT_DOUBLE_EQ(disk.rate(2048, 2), 400);
}

TEST(DiskRate, StaysAtTheEdgeBeyondTheTable) {
  const Disk disk = two_by_two();
  EXPECT_DOUBLE_EQ(disk.rate(size_t{1} << 40, 1), 300);
  EXPECT_DOUBLE_EQ(disk.rate(1024, 1000), 400);
  EXPECT_DOUBLE_EQ(disk.rate(size_t{1} << 40, 1000), 800);
}

TEST(DiskRate, OnePointIsTheRateEverywhere) {
  const Disk disk{{{65536, 8, 5e9}}};
  EXPECT_DOUBLE_EQ(disk.rate(65536, 1), 5e9);
  EXPECT_DOUBLE_EQ(disk.rate(65536, 8), 5e9);
  EXPECT_DOUBLE_EQ(disk.rate(1 << 30, 64), 5e9);
}

TEST(DiskRate, ASmallerBlockThanMeasuredTakesAsLongAsTheSmallest) {
  const Disk disk = two_by_two();
  EXPECT_DOUBLE_EQ(disk.rate(512, 1), 50);
  EXPECT_DOUBLE_EQ(disk.rate(1, 4), 400.0 / 1024);
  EXPECT_DOUBLE_EQ(disk.rate(512, 2), 125);
}

// sweep_grid leaves out large blocks at large depths: each depth has its own blocks.
TEST(DiskRate, TheTableMayHaveHoles) {
  const Disk disk{{{1024, 1, 100.0}, {4096, 1, 300.0}, {1024, 4, 400.0}}};
  EXPECT_DOUBLE_EQ(disk.rate(4096, 4), 400);
  EXPECT_DOUBLE_EQ(disk.rate(4096, 2), 350);
}

TEST(DiskRate, BestIsTheHighestOfTheTable) {
  EXPECT_DOUBLE_EQ(two_by_two().best(), 800);
}

TEST(MachineKernels, AreFoundByTypeAndThreads) {
  Machine machine;
  EXPECT_EQ(machine.kernel_rate("Q8_0", 1), 0);
  machine.set_kernel_rate({"Q8_0", 1, 5e9});
  machine.set_kernel_rate({"Q8_0", 2, 9e9});
  machine.set_kernel_rate({"Q4_1", 2, 7e9});
  EXPECT_EQ(machine.kernel_rate("Q8_0", 1), 5e9);
  EXPECT_EQ(machine.kernel_rate("Q8_0", 2), 9e9);
  EXPECT_EQ(machine.kernel_rate("Q4_1", 2), 7e9);
  EXPECT_EQ(machine.kernel_rate("Q4_1", 1), 3.5e9) << "in proportion to the threads";
  EXPECT_TRUE(machine.knows_kernel("Q4_1", 2));
  EXPECT_FALSE(machine.knows_kernel("Q4_1", 1));
  EXPECT_EQ(machine.kernel_rate("F32", 2), 0);
  machine.set_kernel_rate({"Q8_0", 2, 8e9});
  EXPECT_EQ(machine.kernel_rate("Q8_0", 2), 8e9);
  EXPECT_EQ(machine.kernels.size(), 3u);
}

TEST(MachineDisks, TheOnlyDiskStandsForOthers) {
  Machine machine;
  EXPECT_EQ(machine.disk("1"), nullptr);
  machine.disks["1"] = two_by_two();
  EXPECT_EQ(machine.disk("2"), &machine.disks["1"]);
  machine.disks["2"] = two_by_two();
  EXPECT_EQ(machine.disk("2"), &machine.disks["2"]);
  EXPECT_EQ(machine.disk("3"), nullptr);
}

}  // namespace
}  // namespace spillway::machine
