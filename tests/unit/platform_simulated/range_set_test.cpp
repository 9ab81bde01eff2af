#include "platform/simulated/range_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace spillway::platform {
namespace {

TEST(RangeSet, BehavesAsABitForEachMember) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr uint64_t kSpace = 60;
  for (int round = 0; round < 200; ++round) {
    RangeSet set;
    std::vector<bool> bits(kSpace);
    for (int step = 0; step < 40; ++step) {
      const uint64_t begin = random() % kSpace;
      const uint64_t end = begin + random() % (kSpace - begin + 1);
      const auto first = bits.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = bits.begin() + static_cast<std::ptrdiff_t>(end);
      const auto members = static_cast<uint64_t>(std::count(first, last, true));
      ASSERT_EQ(set.count(begin, end), members);
      if (random() % 2 == 0) {
        ASSERT_EQ(set.insert(begin, end), end - begin - members);
        std::fill(first, last, true);
      } else {
        ASSERT_EQ(set.erase(begin, end), members);
        std::fill(first, last, false);
      }
      ASSERT_EQ(set.size(), static_cast<uint64_t>(std::count(bits.begin(), bits.end(), true)));
    }
  }
}

}  // namespace
}  // namespace spillway::platform
