#include "memory/page_set.h"

#include <gtest/gtest.h>

namespace spillway::memory {
namespace {

using Runs = std::vector<PageRun>;
constexpr PageRun kAll = {0, 100};

TEST(PageSet, RunsThatTouchBecomeOne) {
  PageSet set;
  set.insert({10, 20});
  set.insert({30, 40});
  EXPECT_EQ(set.inside(kAll), (Runs{{10, 20}, {30, 40}}));
  set.insert({20, 30});
  EXPECT_EQ(set.inside(kAll), (Runs{{10, 40}}));
  set.insert({5, 50});
  EXPECT_EQ(set.inside(kAll), (Runs{{5, 50}}));
  EXPECT_EQ(set.pages(), 45u);
  EXPECT_TRUE(set.valid());
}

TEST(PageSet, ErasingSplitsARun) {
  PageSet set;
  set.insert({10, 20});
  set.insert({30, 40});
  set.erase({15, 16});
  set.erase({18, 32});
  set.erase({39, 90});
  EXPECT_EQ(set.inside(kAll), (Runs{{10, 15}, {16, 18}, {32, 39}}));
  EXPECT_EQ(set.pages(), 14u);
  EXPECT_TRUE(set.valid());
}

TEST(PageSet, KnowsWhatIsInsideAndWhatIsMissing) {
  PageSet set;
  set.insert({10, 20});
  set.insert({30, 40});
  EXPECT_EQ(set.inside({15, 35}), (Runs{{15, 20}, {30, 35}}));
  EXPECT_EQ(set.gaps({5, 45}), (Runs{{5, 10}, {20, 30}, {40, 45}}));
  EXPECT_EQ(set.gaps({12, 14}), Runs{});
  EXPECT_TRUE(set.contains({10, 20}));
  EXPECT_TRUE(set.contains({25, 25}));  // nothing is in every set
  EXPECT_FALSE(set.contains({10, 21}));
  EXPECT_FALSE(set.contains({9, 12}));
  EXPECT_FALSE(set.contains({19, 31}));
}

}  // namespace
}  // namespace spillway::memory
