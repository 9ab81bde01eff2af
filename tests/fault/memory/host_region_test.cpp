// Every commit and reservation of a region fails in its turn, once and for good: nothing changes,
// nothing leaks, and what failed once can be tried again.
#include "memory/host_region.h"

#include <gtest/gtest.h>

#include "platform/simulated/simulated_platform.h"

namespace spillway::memory {
namespace {

using platform::Operation;

constexpr size_t kPage = 4096;
constexpr size_t kPages = 16;

class RegionFault : public testing::TestWithParam<bool> {};

// make_resident() over three gaps: three commits.
void fill_gaps(platform::SimulatedPlatform& platform, uint64_t n, bool for_good) {
  Budget budget(Tier::kHost, kPages * kPage);
  {
    auto region =
        HostRegion::create(platform, budget, Tag::kWeights, "weights", kPages * kPage).value();
    ASSERT_TRUE(region->make_resident(3 * kPage, kPage).has_value());
    ASSERT_TRUE(region->make_resident(9 * kPage, 2 * kPage).has_value());
    region->bytes()[3 * kPage] = std::byte{3};
    platform.fail_operation(Operation::kCommit, n, for_good);
    const auto failed = region->make_resident(0, kPages * kPage);
    ASSERT_FALSE(failed.has_value());
    EXPECT_EQ(failed.error().code, ErrorCode::kMachine);
    EXPECT_EQ(failed.error().message.rfind("weights: ", 0), 0u) << failed.error().message;
    EXPECT_EQ(region->resident_bytes(), 3 * kPage);
    EXPECT_EQ(budget.usage().bytes, 3 * kPage);
    EXPECT_EQ(platform.committed_bytes(), 3 * kPage);
    EXPECT_FALSE(region->resident(0, kPage));
    EXPECT_EQ(region->make_resident(0, kPages * kPage).has_value(), !for_good);
    EXPECT_EQ(region->bytes()[3 * kPage], std::byte{3});
    EXPECT_EQ(budget.usage().bytes, platform.committed_bytes());
  }
  EXPECT_EQ(budget.usage().bytes, 0u);
  EXPECT_EQ(platform.committed_bytes(), 0u);
}

TEST_P(RegionFault, ACommitThatFailsIsUndone) {
  for (uint64_t n = 1; n <= 3; ++n) {
    SCOPED_TRACE(testing::Message() << "commit " << n);
    const auto platform = platform::make_simulated_platform({});
    fill_gaps(*platform, n, GetParam());
  }
}

TEST_P(RegionFault, WithoutAddressesThereIsNoRegion) {
  const auto platform = platform::make_simulated_platform({});
  Budget budget(Tier::kHost, kPages * kPage);
  platform->fail_operation(Operation::kReserve, 1, GetParam());
  const auto region = HostRegion::create(*platform, budget, Tag::kWeights, "weights", kPage);
  ASSERT_FALSE(region.has_value());
  EXPECT_EQ(region.error().code, ErrorCode::kMachine);
  EXPECT_TRUE(budget.holders().empty());
  EXPECT_EQ(HostRegion::create(*platform, budget, Tag::kWeights, "weights", kPage).has_value(),
            !GetParam());
}

INSTANTIATE_TEST_SUITE_P(Faults, RegionFault, testing::Bool(),
                         [](const auto& test) { return test.param ? "ForGood" : "Once"; });

}  // namespace
}  // namespace spillway::memory
