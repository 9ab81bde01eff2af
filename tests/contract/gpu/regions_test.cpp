// What every pool promises of its regions, whatever GPU it stands on.
#include <gmock/gmock.h>

#include "base/units.h"
#include "environment.h"
#include "ops/pattern_kernels.h"
#include "ops/pattern_word.h"
#include "spillway/memory/pool.h"

namespace spillway::memory {
namespace {

using platform::must;

class Regions : public platform::GpuContract {
 protected:
  void SetUp() override {
    GpuContract::SetUp();
    if (IsSkipped()) return;
    if (managed() && !gpu().info().managed) GTEST_SKIP() << "there is no managed memory";
    if (!managed() && !gpu().info().host_handles) {
      GTEST_SKIP() << "handles cannot lie in host memory";
    }
    extent_ = granularity();
  }

  void TearDown() override {
    pool_.reset();
    GpuContract::TearDown();
  }

  static bool managed() { return GetParam().managed_pools; }

  void open(uint64_t hbm_extents, uint64_t host_extents) {
    pool_ = must(
        Pool::create(gpu(), {.hbm_budget_bytes = hbm_extents * extent_ + gpu().info().context_bytes,
                             .host_budget_bytes = host_extents * extent_,
                             .kept_bytes = 2 * extent_,
                             .managed = managed()}));
  }

  std::unique_ptr<Region> region(size_t extents, Eviction eviction = Eviction::kNever,
                                 const std::string& name = "tested") {
    return must(pool_->create_region({.size_bytes = extents * extent_,
                                      .extent_bytes = extent_,
                                      .tag = Tag::kWeights,
                                      .name = name,
                                      .eviction = eviction}));
  }

  static ops::PatternRange pattern(const Pin& pin, uint64_t seed) {
    return {reinterpret_cast<uint64_t*>(pin.data()), pin.size_bytes() / sizeof(uint64_t), seed};
  }

  void write(Region& region, size_t extent, uint64_t seed) {
    const Pin pin = must(region.pin(extent * extent_, extent_, stream()));
    must(ops::fill_pattern(gpu(), pattern(pin, seed), stream()));
  }

  uint64_t wrong_words(Region& region, size_t extent, uint64_t seed) {
    const Pin pin = must(region.pin(extent * extent_, extent_, stream()));
    return pattern_mismatches(pin.data(), extent_, seed);
  }

  uint64_t held(Tier tier, Tag tag) { return pool_->budget(tier).usage(tag).bytes; }

  static std::string shape(const Region& region) {
    std::string text;
    for (const Residency& run : region.residency()) {
      text += fmt::format("{}{} ", run.tier ? tier_name(*run.tier) : "-", run.end - run.first);
    }
    return text;
  }

  size_t extent_ = 0;
  std::unique_ptr<Pool> pool_;
};

TEST_P(Regions, ExtentsLieWhereTheyAreWanted) {
  open(4, 8);
  const auto region = this->region(8);
  EXPECT_EQ(region->extents(), 8U);
  EXPECT_EQ(region->size_bytes(), 8 * extent_);
  EXPECT_EQ(shape(*region), "-8 ");
  ASSERT_TRUE(region->make_resident(0, 2 * extent_, Tier::kHbm));
  ASSERT_TRUE(region->make_resident(2 * extent_, extent_ + 1, Tier::kHost));
  EXPECT_EQ(shape(*region), "HBM2 host2 -4 ");
  EXPECT_EQ(held(Tier::kHbm, Tag::kWeights), 2 * extent_);
  EXPECT_EQ(held(Tier::kHost, Tag::kWeights), 2 * extent_);
  ASSERT_TRUE(region->make_resident(0, region->size_bytes(), Tier::kHost));
  EXPECT_EQ(shape(*region), "host8 ");
  EXPECT_EQ(held(Tier::kHbm, Tag::kWeights), 0U);
}

TEST_P(Regions, MovesKeepAddressAndBytes) {
  open(8, 8);
  const auto region = this->region(6);
  ASSERT_TRUE(region->make_resident(0, region->size_bytes(), Tier::kHbm));
  const std::byte* const data = region->data();
  for (size_t i = 0; i < 6; ++i) write(*region, i, 100 + i);
  for (const Tier tier : {Tier::kHost, Tier::kHbm, Tier::kHost}) {
    ASSERT_TRUE(region->move(extent_, 4 * extent_, tier).value().wait());
    EXPECT_EQ(shape(*region), tier == Tier::kHbm ? "HBM6 " : "HBM1 host4 HBM1 ");
    EXPECT_EQ(region->data(), data);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(wrong_words(*region, i, 100 + i), 0U);
  }
  EXPECT_EQ(pool_->statistics().extents_to_host, 8U);
  EXPECT_EQ(pool_->statistics().bytes_to_hbm, 4 * extent_);
}

TEST_P(Regions, TheCpuReadsHostExtentsAtTheSameAddress) {
  open(4, 4);
  const auto region = this->region(2);
  ASSERT_TRUE(region->make_resident(0, 2 * extent_, Tier::kHbm));
  write(*region, 0, 1);
  const auto refused = region->pin_for_host(0, 8);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("in HBM"));
  ASSERT_TRUE(region->make_resident(0, extent_, Tier::kHost));
  const Pin pin = region->pin_for_host(0, extent_).value();
  const auto* words = reinterpret_cast<const uint64_t*>(pin.data());
  for (uint64_t i = 0; i < extent_ / 8; ++i) ASSERT_EQ(words[i], ops::pattern_word(1, i));
  EXPECT_FALSE(region->pin_for_host(extent_ - 8, 16));
}

TEST_P(Regions, PinnedExtentsDoNotMove) {
  open(4, 4);
  const auto region = this->region(2);
  ASSERT_TRUE(region->make_resident(0, 2 * extent_, Tier::kHbm));
  {
    const Pin pin = region->pin(extent_, 8, stream()).value();
    const auto refused = region->move(0, 2 * extent_, Tier::kHost);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, ::testing::HasSubstr("extent 1 is pinned"));
    EXPECT_EQ(region->discard(0, 2 * extent_).error().code, ErrorCode::kUsage);
    EXPECT_TRUE(region->make_resident(extent_, extent_, Tier::kHbm)) << "it lies there already";
  }
  EXPECT_TRUE(region->move(0, 2 * extent_, Tier::kHost).value().wait());
}

// The launch is still to come when the move is asked for; its bytes must move too.
TEST_P(Regions, AMoveWaitsForLaunches) {
  open(4, 4);
  const auto region = this->region(1);
  ASSERT_TRUE(region->make_resident(0, extent_, Tier::kHbm));
  write(*region, 0, 5);
  const Transfer transfer = region->move(0, extent_, Tier::kHost).value();
  const Pin pin = region->pin(0, extent_, stream()).value();  // waits for the move
  EXPECT_EQ(shape(*region), "host1 ");
  ASSERT_TRUE(transfer.wait());
  EXPECT_EQ(wrong_words(*region, 0, 5), 0U);
}

TEST_P(Regions, AFullTierRefusesAndLosesNothing) {
  open(3, 3);
  const auto region = this->region(6);
  ASSERT_TRUE(region->make_resident(0, 3 * extent_, Tier::kHbm));
  for (size_t i = 0; i < 3; ++i) write(*region, i, i);
  const auto refused = region->make_resident(3 * extent_, extent_, Tier::kHbm);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("'tested'"));
  ASSERT_TRUE(region->make_resident(3 * extent_, 2 * extent_, Tier::kHost));
  // One extent finds room, the next does not.
  EXPECT_EQ(region->move(0, 3 * extent_, Tier::kHost).value().wait().error().code,
            ErrorCode::kBudget);
  EXPECT_EQ(shape(*region), "host1 HBM2 host2 -1 ");
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(wrong_words(*region, i, i), 0U);
}

TEST_P(Regions, TheLeastRecentlyPinnedExtentGivesWay) {
  open(4, 8);
  const auto fixed = region(1, Eviction::kNever, "fixed");
  ASSERT_TRUE(fixed->make_resident(0, extent_, Tier::kHbm));
  const auto loose = region(5, Eviction::kLeastRecentlyPinned, "loose");
  ASSERT_TRUE(loose->make_resident(0, 3 * extent_, Tier::kHbm));
  for (const size_t i : {1U, 2U, 0U}) write(*loose, i, i);
  ASSERT_TRUE(loose->make_resident(3 * extent_, extent_, Tier::kHbm));
  EXPECT_EQ(shape(*loose), "HBM1 host1 HBM2 -1 ");
  {
    const Pin pin = loose->pin(2 * extent_, extent_, stream()).value();
    ASSERT_TRUE(loose->make_resident(4 * extent_, extent_, Tier::kHbm));
    EXPECT_EQ(shape(*loose), "HBM1 host1 HBM1 host1 HBM1 ") << "never pinned counts as oldest";
  }
  EXPECT_EQ(shape(*fixed), "HBM1 ");
  EXPECT_EQ(pool_->statistics().evicted_extents, 2U);
  for (const size_t i : {0U, 1U, 2U}) EXPECT_EQ(wrong_words(*loose, i, i), 0U);
}

TEST_P(Regions, DiscardGivesMemoryBackAndKeptHandlesAreUsedAgain) {
  if (managed()) GTEST_SKIP() << "extents of managed memory stay";
  open(4, 4);
  const auto region = this->region(4);
  ASSERT_TRUE(region->make_resident(0, 2 * extent_, Tier::kHbm));
  ASSERT_TRUE(region->discard(1, 2 * extent_ - 1)) << "extent 0 lies only in part inside";
  EXPECT_EQ(shape(*region), "HBM1 -3 ");
  EXPECT_EQ(held(Tier::kHbm, Tag::kOther), gpu().info().context_bytes + extent_) << "kept";
  ASSERT_TRUE(region->make_resident(extent_, extent_, Tier::kHbm));
  EXPECT_EQ(pool_->statistics().handles_created, 2U);
  EXPECT_EQ(pool_->statistics().handles_reused, 1U);
  ASSERT_TRUE(region->discard(0, 2 * extent_));
  pool_->trim();
  EXPECT_EQ(pool_->budget(Tier::kHbm).usage().bytes, gpu().info().context_bytes);
  EXPECT_EQ(region->pin(0, 8, stream()).error().code, ErrorCode::kUsage);
}

TEST_P(Regions, ManagedMemoryGoesBackWithItsRegion) {
  if (!managed()) GTEST_SKIP() << "extents go back one by one";
  open(4, 4);
  {
    const auto region = this->region(4);
    ASSERT_TRUE(region->make_resident(0, 3 * extent_, Tier::kHbm));
    const auto refused = region->discard(0, extent_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, ::testing::HasSubstr("destroy"));
    EXPECT_EQ(shape(*region), "HBM3 -1 ");
    EXPECT_TRUE(region->discard(3 * extent_, extent_)) << "nothing lies there";
  }
  EXPECT_EQ(pool_->budget(Tier::kHbm).usage().bytes, gpu().info().context_bytes);
}

TEST_P(Regions, TheReportSaysWhatLivesWhereAndWhatMoved) {
  open(8, 8);
  const auto region = this->region(4);
  const auto other = this->region(1, Eviction::kNever, "other");
  ASSERT_TRUE(region->make_resident(0, 3 * extent_, Tier::kHbm));
  ASSERT_TRUE(other->make_resident(0, extent_, Tier::kHost));
  ASSERT_TRUE(region->move(0, 2 * extent_, Tier::kHost).value().wait());
  ASSERT_TRUE(region->move(0, extent_, Tier::kHbm).value().wait());
  const PoolReport report = pool_->report();
  ASSERT_EQ(report.regions.size(), 2U);
  const RegionReport& first = report.regions.front();
  EXPECT_EQ(first.name, "tested");
  EXPECT_EQ(first.hbm_bytes, 2 * extent_);
  EXPECT_EQ(first.host_bytes, extent_);
  EXPECT_EQ(first.activity.extents_to_host, 2U);
  EXPECT_EQ(first.activity.bytes_to_hbm, extent_);
  EXPECT_GT(first.activity.rate_to_host(), 0);
  EXPECT_EQ(report.regions.back().activity.bytes_to_hbm, 0U);
  EXPECT_EQ(report.hbm.bytes, pool_->budget(Tier::kHbm).usage().bytes);
  const auto weights = std::find_if(report.tags.begin(), report.tags.end(),
                                    [](const TagReport& t) { return t.tag == Tag::kWeights; });
  ASSERT_NE(weights, report.tags.end());
  EXPECT_EQ(weights->hbm_bytes, 2 * extent_);
  EXPECT_EQ(weights->host_bytes, 2 * extent_);
  EXPECT_EQ(weights->activity.bytes_to_host, 2 * extent_);
  EXPECT_THAT(to_json(report), ::testing::HasSubstr("\"bytes_per_second_to_host\""));
}

TEST_P(Regions, BadRangesAndTiersAreRefused) {
  open(4, 4);
  const auto region = this->region(2);
  EXPECT_EQ(region->make_resident(0, 2 * extent_ + 1, Tier::kHbm).error().code, ErrorCode::kUsage);
  EXPECT_EQ(region->make_resident(SIZE_MAX, 2, Tier::kHbm).error().code, ErrorCode::kUsage);
  EXPECT_EQ(region->make_resident(0, 1, Tier::kDisk).error().code, ErrorCode::kUsage);
  EXPECT_EQ(region->pin(3 * extent_, 0, stream()).error().code, ErrorCode::kUsage);
  EXPECT_TRUE(region->make_resident(0, 0, Tier::kHbm));
  EXPECT_EQ(shape(*region), "-2 ");
  for (const auto& [size, extent] :
       {std::pair<size_t, size_t>{0, 1}, {1, 0}, {SIZE_MAX, extent_}, {1, SIZE_MAX}}) {
    EXPECT_EQ(pool_->create_region({.size_bytes = size, .extent_bytes = extent, .name = "bad"})
                  .error()
                  .code,
              ErrorCode::kUsage);
  }
}

INSTANTIATE_TEST_SUITE_P(Gpus, Regions, testing::ValuesIn(platform::gpu_kinds()),
                         platform::name_of_kind);
INSTANTIATE_TEST_SUITE_P(Managed, Regions, testing::ValuesIn(platform::managed_kinds()),
                         platform::name_of_kind);

}  // namespace
}  // namespace spillway::memory
