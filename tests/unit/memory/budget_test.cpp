#include "spillway/memory/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "base/units.h"

namespace spillway::memory {
namespace {

using testing::HasSubstr;

TEST(Budget, ChargesAndGivesBack) {
  Budget budget(Tier::kHost, 100);
  {
    const Reservation weights = budget.reserve(60, Tag::kWeights, "layers").value();
    EXPECT_EQ(weights.bytes(), 60u);
    EXPECT_EQ(weights.tag(), Tag::kWeights);
    EXPECT_EQ(budget.free_bytes(), 40u);
    EXPECT_EQ(budget.usage(Tag::kWeights).bytes, 60u);
    EXPECT_EQ(budget.usage(Tag::kKv).bytes, 0u);
  }
  EXPECT_EQ(budget.free_bytes(), 100u);
  EXPECT_EQ(budget.usage().bytes, 0u);
  EXPECT_EQ(budget.usage().peak_bytes, 60u);
  EXPECT_EQ(budget.usage(Tag::kWeights).peak_bytes, 60u);
  EXPECT_TRUE(budget.holders().empty());
}

TEST(Budget, TakesTheLastByteAndNoMore) {
  Budget budget(Tier::kHost, 100);
  const Reservation most = budget.reserve(99, Tag::kKv, "cache").value();
  EXPECT_EQ(budget.reserve(2, Tag::kOther, "log").error().code, ErrorCode::kBudget);
  const Reservation last = budget.reserve(1, Tag::kOther, "log").value();
  EXPECT_EQ(budget.free_bytes(), 0u);
  EXPECT_TRUE(budget.reserve(0, Tag::kOther, "nothing").has_value());
}

TEST(Budget, SizesThatWrapAreRefused) {
  Budget budget(Tier::kHost, 100);
  const Reservation held = budget.reserve(50, Tag::kKv, "cache").value();
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  for (uint64_t bytes : {most, most - 49, most - 50}) {
    EXPECT_FALSE(budget.reserve(bytes, Tag::kKv, "cache").has_value());
  }
  EXPECT_EQ(budget.usage().bytes, 50u);
}

TEST(Budget, RefusalTellsHowMuchIsMissingAndWhoHoldsIt) {
  Budget budget(Tier::kHost, 64 * kMiB);
  const Reservation weights = budget.reserve(40 * kMiB, Tag::kWeights, "resident weights").value();
  const Reservation ring = budget.reserve(8 * kMiB, Tag::kStaging, "staging ring").value();
  const auto refused = budget.reserve(20 * kMiB, Tag::kKv, "kv cache");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  const std::string& message = refused.error().message;
  EXPECT_THAT(message, HasSubstr("host budget of 64.0 MiB is too small by 4.0 MiB"));
  EXPECT_THAT(message, HasSubstr("'kv cache' (kv) asks for 20.0 MiB more and 16.0 MiB are free"));
  EXPECT_THAT(message, HasSubstr("40.0 MiB  resident weights"));
  EXPECT_THAT(message, HasSubstr("8.0 MiB  staging ring"));
}

TEST(Budget, ATagHasItsOwnCapWithinTheWhole) {
  Budget budget(Tier::kHost, 100);
  budget.limit_tag(Tag::kWeights, 30);
  Reservation weights = budget.reserve(30, Tag::kWeights, "layers").value();
  const auto refused = budget.reserve(1, Tag::kWeights, "more layers");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message,
              HasSubstr("the cap of 30 B on weights within the host budget is too small by 1 B"));
  EXPECT_FALSE(weights.resize(31).has_value());
  const Reservation cache = budget.reserve(70, Tag::kKv, "cache").value();  // the others are free
  ASSERT_TRUE(weights.resize(10).has_value());
  EXPECT_TRUE(budget.reserve(20, Tag::kWeights, "other layers").has_value());
}

TEST(Budget, ACapAboveTheWholeIsNone) {
  Budget budget(Tier::kHost, 100);
  budget.limit_tag(Tag::kWeights, 1000);
  const auto refused = budget.reserve(101, Tag::kWeights, "layers");
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("the host budget of 100 B is too small by 1 B"));
}

TEST(Budget, ABudgetOfZeroHoldsNothing) {
  Budget budget(Tier::kDisk, 0);
  const auto refused = budget.reserve(1, Tag::kKv, "store");
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("the disk budget of 0 B is too small by 1 B"));
}

TEST(Budget, HoldersComeByTagAndLargestFirst) {
  Budget budget(Tier::kHost, 1000);
  std::vector<Reservation> held;
  held.push_back(budget.reserve(5, Tag::kKv, "pages").value());
  held.push_back(budget.reserve(10, Tag::kWeights, "norms").value());
  held.push_back(budget.reserve(200, Tag::kWeights, "layers").value());
  held.push_back(budget.reserve(6, Tag::kKv, "pages").value());
  const std::vector<Holder> holders = budget.holders();
  ASSERT_EQ(holders.size(), 3u);
  EXPECT_EQ(holders[0].name, "layers");
  EXPECT_EQ(holders[1].name, "norms");
  EXPECT_EQ(holders[2].name, "pages");  // two reservations of one name are one holder
  EXPECT_EQ(holders[2].tag, Tag::kKv);
  EXPECT_EQ(holders[2].bytes, 11u);
}

TEST(Budget, ExplainsWithTheBiggestTagFirst) {
  Budget budget(Tier::kHost, 64 * kMiB);
  budget.limit_tag(Tag::kWeights, 48 * kMiB);
  const Reservation cache = budget.reserve(4 * kMiB, Tag::kKv, "kv cache").value();
  const Reservation norms = budget.reserve(1 * kMiB, Tag::kWeights, "norms").value();
  const Reservation layers = budget.reserve(32 * kMiB, Tag::kWeights, "layers").value();
  const Reservation empty = budget.reserve(0, Tag::kOther, "nothing").value();
  { const Reservation gone = budget.reserve(10 * kMiB, Tag::kOther, "gone").value(); }
  EXPECT_EQ(budget.explain(),
            "host budget 64.0 MiB: 37.0 MiB held, 47.0 MiB at the most so far\n"
            "  weights          33.0 MiB of at most 48.0 MiB\n"
            "                   32.0 MiB  layers\n"
            "                    1.0 MiB  norms\n"
            "  kv                4.0 MiB\n"
            "                    4.0 MiB  kv cache\n"
            "  free             27.0 MiB");
}

TEST(Reservation, ResizesInBothDirections) {
  Budget budget(Tier::kHost, 100);
  Reservation held = budget.reserve(10, Tag::kActivations, "scratch").value();
  ASSERT_TRUE(held.resize(100).has_value());
  EXPECT_EQ(budget.free_bytes(), 0u);
  EXPECT_FALSE(held.resize(101).has_value());
  EXPECT_EQ(held.bytes(), 100u);  // the charge stays as it was
  EXPECT_EQ(budget.usage().bytes, 100u);
  ASSERT_TRUE(held.resize(0).has_value());
  EXPECT_EQ(budget.free_bytes(), 100u);
  EXPECT_EQ(budget.usage(Tag::kActivations).peak_bytes, 100u);
}

TEST(Reservation, MovesWithItsCharge) {
  Budget budget(Tier::kHost, 100);
  Reservation a = budget.reserve(10, Tag::kKv, "a").value();
  Reservation b = budget.reserve(20, Tag::kWeights, "b").value();
  b = std::move(a);  // gives b's 20 back
  EXPECT_EQ(budget.usage().bytes, 10u);
  EXPECT_EQ(b.bytes(), 10u);
  EXPECT_EQ(b.tag(), Tag::kKv);
  EXPECT_EQ(a.bytes(), 0u);  // NOLINT(bugprone-use-after-move): it holds nothing, that is the test
  Reservation c = std::move(b);
  EXPECT_EQ(budget.usage().bytes, 10u);
  c = Reservation();
  EXPECT_EQ(budget.usage().bytes, 0u);
}

TEST(Budget, ThreadsShareItWithoutExceedingIt) {
  constexpr uint64_t kLimit = 64;
  Budget budget(Tier::kHost, kLimit);
  std::vector<std::jthread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&budget, seed] {
      for (unsigned i = 0; i < 2000; ++i) {
        auto held = budget.reserve((i * seed) % 40, Tag::kKv, "thread");
        if (held) (void)held->resize((i + seed) % 50);
      }
    });
  }
  threads.clear();  // joins
  EXPECT_EQ(budget.usage().bytes, 0u);
  EXPECT_LE(budget.usage().peak_bytes, kLimit);
  EXPECT_GT(budget.usage().peak_bytes, 0u);
}

}  // namespace
}  // namespace spillway::memory
