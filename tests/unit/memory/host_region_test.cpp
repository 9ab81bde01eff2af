#include "memory/host_region.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include "platform/simulated/simulated_platform.h"

namespace spillway::memory {
namespace {

using testing::HasSubstr;

constexpr size_t kPage = 4096;

class RegionTest : public testing::Test {
 protected:
  std::unique_ptr<HostRegion> create(size_t size_bytes) {
    return HostRegion::create(*platform_, budget_, Tag::kKv, "kv cache", size_bytes).value();
  }

  std::unique_ptr<platform::SimulatedPlatform> platform_ =
      platform::make_simulated_platform({.host_bytes = 100 * kPage});
  Budget budget_{Tier::kHost, 10 * kPage};
};

TEST_F(RegionTest, ReservesAddressesAndNoMemory) {
  const auto region = create(3 * kPage + 1);
  EXPECT_EQ(region->size_bytes(), 4 * kPage);
  EXPECT_EQ(region->resident_bytes(), 0u);
  EXPECT_EQ(budget_.usage().bytes, 0u);
  EXPECT_EQ(platform_->committed_bytes(), 0u);
  EXPECT_FALSE(region->resident(0, 1));
  EXPECT_FALSE(region->pin(0, 1).has_value());
}

TEST_F(RegionTest, AddressesMayExceedTheBudget) {
  const auto region = create(1000 * kPage);
  EXPECT_TRUE(region->make_resident(999 * kPage, kPage).has_value());
}

TEST_F(RegionTest, ChargesThePagesThatARangeTouches) {
  const auto region = create(8 * kPage);
  ASSERT_TRUE(region->make_resident(kPage - 1, 2).has_value());
  EXPECT_EQ(region->resident_bytes(), 2 * kPage);
  EXPECT_EQ(budget_.usage(Tag::kKv).bytes, 2 * kPage);
  EXPECT_EQ(platform_->committed_bytes(), 2 * kPage);
  EXPECT_TRUE(region->resident(0, 2 * kPage));
  EXPECT_FALSE(region->resident(0, 2 * kPage + 1));
  ASSERT_TRUE(region->make_resident(0, 4 * kPage).has_value());  // two of them were there
  EXPECT_EQ(budget_.usage(Tag::kKv).bytes, 4 * kPage);
}

TEST_F(RegionTest, PagesReadAsZeroAndKeepWhatIsWritten) {
  const auto region = create(4 * kPage);
  ASSERT_TRUE(region->make_resident(kPage, kPage).has_value());
  region->bytes()[kPage] = std::byte{7};
  ASSERT_TRUE(region->make_resident(0, 4 * kPage).has_value());
  EXPECT_EQ(region->bytes()[kPage], std::byte{7});
  ASSERT_TRUE(region->evict(0, 4 * kPage).has_value());
  ASSERT_TRUE(region->make_resident(0, 4 * kPage).has_value());
  const auto bytes = region->bytes();
  EXPECT_TRUE(
      std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_F(RegionTest, EvictsOnlyWholePagesInside) {
  const auto region = create(4 * kPage);
  ASSERT_TRUE(region->make_resident(0, 4 * kPage).has_value());
  ASSERT_TRUE(region->evict(1, 2 * kPage).has_value());
  EXPECT_TRUE(region->resident(0, kPage));
  EXPECT_FALSE(region->resident(kPage, kPage));
  EXPECT_TRUE(region->resident(2 * kPage, 2 * kPage));
  EXPECT_EQ(budget_.usage().bytes, 3 * kPage);
  EXPECT_EQ(platform_->committed_bytes(), 3 * kPage);
  ASSERT_TRUE(region->evict(1, kPage - 2).has_value());  // holds no whole page
  EXPECT_EQ(budget_.usage().bytes, 3 * kPage);
}

TEST_F(RegionTest, ABudgetThatIsTooSmallLeavesEverythingAsItWas) {
  const auto region = create(20 * kPage);
  ASSERT_TRUE(region->make_resident(2 * kPage, kPage).has_value());
  const auto refused = region->make_resident(0, 11 * kPage);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message, HasSubstr("kv cache"));
  EXPECT_EQ(region->resident_bytes(), kPage);
  EXPECT_EQ(platform_->committed_bytes(), kPage);
  EXPECT_TRUE(region->make_resident(0, 10 * kPage).has_value());  // exactly the budget
}

TEST_F(RegionTest, AMachineWithoutMemoryLeavesEverythingAsItWas) {
  Budget large(Tier::kHost, 1000 * kPage);
  auto region = HostRegion::create(*platform_, large, Tag::kOther, "large", 200 * kPage).value();
  ASSERT_TRUE(region->make_resident(50 * kPage, kPage).has_value());
  const auto refused = region->make_resident(0, 200 * kPage);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kMachine);
  EXPECT_EQ(region->resident_bytes(), kPage);
  EXPECT_EQ(large.usage().bytes, kPage);
  EXPECT_EQ(platform_->committed_bytes(), kPage);
}

TEST_F(RegionTest, PinnedPagesStay) {
  const auto region = create(4 * kPage);
  ASSERT_TRUE(region->make_resident(0, 4 * kPage).has_value());
  HostPin first = region->pin(kPage + 10, 20).value();
  EXPECT_EQ(first.bytes().data(), region->bytes().data() + kPage + 10);
  EXPECT_EQ(first.bytes().size(), 20u);
  HostPin second = region->pin(kPage, 1).value();
  EXPECT_EQ(region->evict(0, 4 * kPage).error().code, ErrorCode::kUsage);
  EXPECT_EQ(region->resident_bytes(), 4 * kPage);
  EXPECT_TRUE(region->evict(2 * kPage, 2 * kPage).has_value());  // not these
  first = HostPin();
  EXPECT_FALSE(region->evict(0, 2 * kPage).has_value());
  second = HostPin();
  EXPECT_TRUE(region->evict(0, 2 * kPage).has_value());
  EXPECT_EQ(budget_.usage().bytes, 0u);
}

TEST_F(RegionTest, AMovedPinStillHolds) {
  const auto region = create(kPage);
  ASSERT_TRUE(region->make_resident(0, kPage).has_value());
  HostPin outer;
  {
    HostPin inner = region->pin(0, kPage).value();
    outer = std::move(inner);
    EXPECT_TRUE(inner.bytes().empty());  // NOLINT(bugprone-use-after-move): that is the test
  }
  EXPECT_FALSE(region->evict(0, kPage).has_value());
  outer = region->pin(0, 1).value();  // takes the new one before it drops the old one
  EXPECT_FALSE(region->evict(0, kPage).has_value());
  outer = HostPin();
  EXPECT_TRUE(region->evict(0, kPage).has_value());
}

TEST_F(RegionTest, PinsMayBeDroppedOnAnyThread) {
  const auto region = create(kPage);
  ASSERT_TRUE(region->make_resident(0, kPage).has_value());
  for (int i = 0; i < 200; ++i) {
    HostPin pin = region->pin(0, kPage).value();
    const std::jthread other([dropped = std::move(pin)] {});
    const HostPin mine = region->pin(0, 1).value();
  }
  EXPECT_TRUE(region->evict(0, kPage).has_value());
}

TEST_F(RegionTest, RangesOutsideAreRefused) {
  const auto region = create(2 * kPage);
  ASSERT_TRUE(region->make_resident(0, 2 * kPage).has_value());
  const size_t most = std::numeric_limits<size_t>::max();
  for (const auto& [offset, size] : {std::pair{size_t{0}, 2 * kPage + 1},
                                     {2 * kPage + 1, size_t{0}},
                                     {kPage, most},
                                     {most, most}}) {
    EXPECT_EQ(region->make_resident(offset, size).error().code, ErrorCode::kUsage);
    EXPECT_EQ(region->evict(offset, size).error().code, ErrorCode::kUsage);
    EXPECT_EQ(region->pin(offset, size).error().code, ErrorCode::kUsage);
    EXPECT_FALSE(region->resident(offset, size));
  }
  EXPECT_TRUE(region->make_resident(2 * kPage, 0).has_value());
  EXPECT_TRUE(region->pin(2 * kPage, 0).has_value());
}

TEST_F(RegionTest, SizesThatCannotBeAreRefused) {
  for (size_t size : {size_t{0}, std::numeric_limits<size_t>::max()}) {
    const auto region = HostRegion::create(*platform_, budget_, Tag::kOther, "odd", size);
    ASSERT_FALSE(region.has_value());
    EXPECT_EQ(region.error().code, ErrorCode::kUsage);
  }
}

}  // namespace
}  // namespace spillway::memory
