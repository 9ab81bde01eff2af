// What debug builds hold of every extent.
#include <gtest/gtest.h>

#include "memory/region_state.h"

namespace spillway::memory {
namespace {

Extent in(Tier tier, Mapping mapping) {
  Extent extent;
  extent.handle.emplace().tier = tier;
  extent.mapping = mapping;
  return extent;
}

TEST(ValidExtent, LiesNowhereOrWhereItIsMapped) {
  EXPECT_TRUE(RegionState::valid(Extent{}));
  EXPECT_TRUE(RegionState::valid(in(Tier::kHost, Mapping::kNone)));
  EXPECT_TRUE(RegionState::valid(in(Tier::kHbm, Mapping::kReady)));
  Extent nothing_mapped;
  nothing_mapped.mapping = Mapping::kNoAccess;
  EXPECT_FALSE(RegionState::valid(nothing_mapped));
}

TEST(ValidExtent, IsPinnedOnlyWhereItCanBeReached) {
  for (const Mapping mapping : {Mapping::kNone, Mapping::kNoAccess, Mapping::kReady}) {
    Extent extent = in(Tier::kHbm, mapping);
    extent.pins = 1;
    EXPECT_EQ(RegionState::valid(extent), mapping == Mapping::kReady);
  }
  Extent nowhere;
  nowhere.pins = 1;
  EXPECT_FALSE(RegionState::valid(nowhere));
}

TEST(ValidExtent, IsTheCpusOnlyInHostMemory) {
  for (const Tier tier : {Tier::kHbm, Tier::kHost}) {
    Extent extent = in(tier, Mapping::kReady);
    extent.cpu = true;
    EXPECT_EQ(RegionState::valid(extent), tier == Tier::kHost);
    extent.mapping = Mapping::kNone;
    EXPECT_FALSE(RegionState::valid(extent));
  }
}

}  // namespace
}  // namespace spillway::memory
