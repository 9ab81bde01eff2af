// What every pool promises of its regions, whatever GPU it stands on.
#include <gmock/gmock.h>

#include <thread>

#include "support/pool_fixture.h"

namespace spillway::memory {
namespace {

using platform::SimulatedGpuOptions;

constexpr size_t kExtent = 64 * kKiB;

class Regions : public ::testing::Test {
 protected:
  void open(uint64_t hbm_extents, uint64_t host_extents, SimulatedGpuOptions machine = {}) {
    gpu_ = platform::make_simulated_gpu(machine);
    pool_ = Pool::create(*gpu_, {.hbm_budget_bytes = hbm_extents * kExtent,
                                 .host_budget_bytes = host_extents * kExtent,
                                 .kept_bytes = 2 * kExtent})
                .value();
    stream_ = gpu_->create_stream().value();
  }

  void TearDown() override {
    if (!gpu_) return;
    pool_.reset();
    EXPECT_TRUE(gpu_->destroy_stream(stream_));
    EXPECT_EQ(gpu_->handles(), 0U);
    EXPECT_EQ(gpu_->mappings(), 0U);
    EXPECT_EQ(gpu_->reservations(), 0U);
    EXPECT_EQ(gpu_->events(), 0U);
    EXPECT_EQ(gpu_->streams(), 0U);
  }

  std::unique_ptr<Region> region(size_t extents, Eviction eviction = Eviction::kNever,
                                 const std::string& name = "tested") {
    return pool_
        ->create_region({.size_bytes = extents * kExtent,
                         .extent_bytes = kExtent,
                         .tag = Tag::kWeights,
                         .name = name,
                         .eviction = eviction})
        .value();
  }

  void write(Region& region, size_t extent, uint64_t seed) {
    const Pin pin = region.pin(extent * kExtent, kExtent, stream_).value();
    ASSERT_TRUE(test::launch_write(*gpu_, pin, seed, stream_));
  }

  uint64_t wrong_words(Region& region, size_t extent, uint64_t seed) {
    std::atomic<uint64_t> wrong = 0;
    const Pin pin = region.pin(extent * kExtent, kExtent, stream_).value();
    EXPECT_TRUE(test::launch_check(*gpu_, pin, seed, wrong, stream_));
    EXPECT_TRUE(gpu_->synchronise(stream_));
    return wrong;
  }

  uint64_t held(Tier tier, Tag tag) { return pool_->budget(tier).usage(tag).bytes; }

  static std::string shape(const Region& region) {
    std::string text;
    for (const Residency& run : region.residency()) {
      text += fmt::format("{}{} ", run.tier ? tier_name(*run.tier) : "-", run.end - run.first);
    }
    return text;
  }

  std::unique_ptr<platform::SimulatedGpu> gpu_;
  std::unique_ptr<Pool> pool_;
  Stream stream_;
};

TEST_F(Regions, ExtentsLieWhereTheyAreWanted) {
  open(4, 8);
  const auto region = this->region(8);
  EXPECT_EQ(region->extents(), 8U);
  EXPECT_EQ(region->size_bytes(), 8 * kExtent);
  EXPECT_EQ(shape(*region), "-8 ");
  ASSERT_TRUE(region->make_resident(0, 2 * kExtent, Tier::kHbm));
  ASSERT_TRUE(region->make_resident(2 * kExtent, kExtent + 1, Tier::kHost));
  EXPECT_EQ(shape(*region), "HBM2 host2 -4 ");
  EXPECT_EQ(held(Tier::kHbm, Tag::kWeights), 2 * kExtent);
  EXPECT_EQ(held(Tier::kHost, Tag::kWeights), 2 * kExtent);
  ASSERT_TRUE(region->make_resident(0, region->size_bytes(), Tier::kHost));
  EXPECT_EQ(shape(*region), "host8 ");
  EXPECT_EQ(held(Tier::kHbm, Tag::kWeights), 0U);
}

TEST_F(Regions, MovesKeepAddressAndBytes) {
  open(8, 8);
  const auto region = this->region(6);
  ASSERT_TRUE(region->make_resident(0, region->size_bytes(), Tier::kHbm));
  const std::byte* const data = region->data();
  for (size_t i = 0; i < 6; ++i) write(*region, i, 100 + i);
  for (const Tier tier : {Tier::kHost, Tier::kHbm, Tier::kHost}) {
    ASSERT_TRUE(region->move(kExtent, 4 * kExtent, tier).value().wait());
    EXPECT_EQ(shape(*region), tier == Tier::kHbm ? "HBM6 " : "HBM1 host4 HBM1 ");
    EXPECT_EQ(region->data(), data);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(wrong_words(*region, i, 100 + i), 0U);
  }
  EXPECT_EQ(pool_->statistics().extents_to_host, 8U);
  EXPECT_EQ(pool_->statistics().bytes_to_hbm, 4 * kExtent);
}

TEST_F(Regions, TheCpuReadsHostExtentsAtTheSameAddress) {
  open(4, 4);
  const auto region = this->region(2);
  ASSERT_TRUE(region->make_resident(0, 2 * kExtent, Tier::kHbm));
  write(*region, 0, 1);
  const auto refused = region->pin_for_host(0, 8);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("in HBM"));
  ASSERT_TRUE(region->make_resident(0, kExtent, Tier::kHost));
  const Pin pin = region->pin_for_host(0, kExtent).value();
  const auto* words = reinterpret_cast<const uint64_t*>(pin.data());
  for (uint64_t i = 0; i < kExtent / 8; ++i) ASSERT_EQ(words[i], test::pattern_word(1, i));
  EXPECT_FALSE(region->pin_for_host(kExtent - 8, 16));
}

TEST_F(Regions, PinnedExtentsDoNotMove) {
  open(4, 4);
  const auto region = this->region(2);
  ASSERT_TRUE(region->make_resident(0, 2 * kExtent, Tier::kHbm));
  {
    const Pin pin = region->pin(kExtent, 8, stream_).value();
    const auto refused = region->move(0, 2 * kExtent, Tier::kHost);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, ::testing::HasSubstr("extent 1 is pinned"));
    EXPECT_FALSE(region->discard(0, 2 * kExtent));
    EXPECT_TRUE(region->make_resident(kExtent, kExtent, Tier::kHbm)) << "it lies there already";
  }
  EXPECT_TRUE(region->move(0, 2 * kExtent, Tier::kHost).value().wait());
}

// The launch is still to come when the move is asked for; its bytes must move too.
TEST_F(Regions, AMoveWaitsForLaunches) {
  open(4, 4, {.work_delay = std::chrono::milliseconds(20)});
  const auto region = this->region(1);
  ASSERT_TRUE(region->make_resident(0, kExtent, Tier::kHbm));
  write(*region, 0, 5);
  const Transfer transfer = region->move(0, kExtent, Tier::kHost).value();
  const Pin pin = region->pin(0, kExtent, stream_).value();  // waits for the move
  EXPECT_EQ(shape(*region), "host1 ");
  ASSERT_TRUE(transfer.wait());
  EXPECT_EQ(wrong_words(*region, 0, 5), 0U);
}

TEST_F(Regions, AFullTierRefusesAndLosesNothing) {
  open(3, 3);
  const auto region = this->region(6);
  ASSERT_TRUE(region->make_resident(0, 3 * kExtent, Tier::kHbm));
  for (size_t i = 0; i < 3; ++i) write(*region, i, i);
  const auto refused = region->make_resident(3 * kExtent, kExtent, Tier::kHbm);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("'tested'"));
  ASSERT_TRUE(region->make_resident(3 * kExtent, 2 * kExtent, Tier::kHost));
  // One extent finds room, the next does not.
  EXPECT_EQ(region->move(0, 3 * kExtent, Tier::kHost).value().wait().error().code,
            ErrorCode::kBudget);
  EXPECT_EQ(shape(*region), "host1 HBM2 host2 -1 ");
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(wrong_words(*region, i, i), 0U);
}

TEST_F(Regions, TheLeastRecentlyPinnedExtentGivesWay) {
  open(4, 8);
  const auto fixed = region(1, Eviction::kNever, "fixed");
  ASSERT_TRUE(fixed->make_resident(0, kExtent, Tier::kHbm));
  const auto loose = region(5, Eviction::kLeastRecentlyPinned, "loose");
  ASSERT_TRUE(loose->make_resident(0, 3 * kExtent, Tier::kHbm));
  for (const size_t i : {1U, 2U, 0U}) write(*loose, i, i);
  ASSERT_TRUE(loose->make_resident(3 * kExtent, kExtent, Tier::kHbm));
  EXPECT_EQ(shape(*loose), "HBM1 host1 HBM2 -1 ");
  {
    const Pin pin = loose->pin(2 * kExtent, kExtent, stream_).value();
    ASSERT_TRUE(loose->make_resident(4 * kExtent, kExtent, Tier::kHbm));
    EXPECT_EQ(shape(*loose), "HBM1 host1 HBM1 host1 HBM1 ") << "never pinned counts as oldest";
  }
  EXPECT_EQ(shape(*fixed), "HBM1 ");
  EXPECT_EQ(pool_->statistics().evicted_extents, 2U);
  for (const size_t i : {0U, 1U, 2U}) EXPECT_EQ(wrong_words(*loose, i, i), 0U);
}

TEST_F(Regions, DiscardGivesMemoryBackAndKeptHandlesAreUsedAgain) {
  open(4, 4);
  const auto region = this->region(4);
  ASSERT_TRUE(region->make_resident(0, 2 * kExtent, Tier::kHbm));
  ASSERT_TRUE(region->discard(1, 2 * kExtent - 1)) << "extent 0 lies only in part inside";
  EXPECT_EQ(shape(*region), "HBM1 -3 ");
  EXPECT_EQ(held(Tier::kHbm, Tag::kOther), kExtent) << "kept";
  ASSERT_TRUE(region->make_resident(kExtent, kExtent, Tier::kHbm));
  EXPECT_EQ(pool_->statistics().handles_created, 2U);
  EXPECT_EQ(pool_->statistics().handles_reused, 1U);
  ASSERT_TRUE(region->discard(0, 2 * kExtent));
  pool_->trim();
  EXPECT_EQ(gpu_->handles(), 0U);
  EXPECT_EQ(pool_->budget(Tier::kHbm).usage().bytes, 0U);
  EXPECT_EQ(region->pin(0, 8, stream_).error().code, ErrorCode::kUsage);
}

TEST_F(Regions, BadRangesAndTiersAreRefused) {
  open(4, 4);
  const auto region = this->region(2);
  EXPECT_EQ(region->make_resident(0, 2 * kExtent + 1, Tier::kHbm).error().code, ErrorCode::kUsage);
  EXPECT_EQ(region->make_resident(SIZE_MAX, 2, Tier::kHbm).error().code, ErrorCode::kUsage);
  EXPECT_EQ(region->make_resident(0, 1, Tier::kDisk).error().code, ErrorCode::kUsage);
  EXPECT_EQ(region->pin(3 * kExtent, 0, stream_).error().code, ErrorCode::kUsage);
  EXPECT_TRUE(region->make_resident(0, 0, Tier::kHbm));
  EXPECT_EQ(shape(*region), "-2 ");
  for (const auto& [size, extent] :
       {std::pair<size_t, size_t>{0, 1}, {1, 0}, {SIZE_MAX, kExtent}}) {
    EXPECT_EQ(pool_->create_region({.size_bytes = size, .extent_bytes = extent, .name = "bad"})
                  .error()
                  .code,
              ErrorCode::kUsage);
  }
}

TEST_F(Regions, TheContextIsInTheBudget) {
  open(4, 0, {.context_bytes = kExtent});
  EXPECT_EQ(pool_->budget(Tier::kHbm).usage().bytes, kExtent);
  EXPECT_THAT(pool_->explain(), ::testing::HasSubstr("driver context"));
  EXPECT_EQ(Pool::create(*gpu_, {.hbm_budget_bytes = kExtent - 1}).error().code,
            ErrorCode::kBudget);
}

TEST_F(Regions, WithoutHostHandlesARegionIsAllHbm) {
  open(4, 4, {.host_handles = false});
  EXPECT_FALSE(pool_->mixes_tiers());
  const auto region = this->region(1);
  EXPECT_TRUE(region->make_resident(0, kExtent, Tier::kHbm));
  EXPECT_EQ(region->move(0, kExtent, Tier::kHost).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace spillway::memory
