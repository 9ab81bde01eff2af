// What every pool promises of regions that lie in host memory only, whatever GPU it stands on.
#include <gmock/gmock.h>

#include "base/units.h"
#include "environment.h"
#include "ops/pattern_kernels.h"
#include "ops/pattern_word.h"
#include "spillway/memory/pool.h"

namespace spillway::memory {
namespace {

using platform::must;

class HostRegions : public platform::GpuContract {
 protected:
  void SetUp() override {
    GpuContract::SetUp();
    if (IsSkipped()) return;
    pool_ = must(Pool::create(gpu(), {.hbm_budget_bytes = kMiB + gpu().info().context_bytes,
                                      .host_budget_bytes = kBudget}));
  }
  void TearDown() override {
    region_.reset();
    pool_.reset();
    GpuContract::TearDown();
  }
  Result<std::unique_ptr<Region>> make(size_t bytes) {
    return pool_->create_region(
        {.size_bytes = bytes, .tag = Tag::kWeights, .name = "host only", .only = Tier::kHost});
  }

  static constexpr uint64_t kBudget = 8 * kMiB;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Region> region_;
};

TEST_P(HostRegions, TheCpuAndTheGpuReachThemAtOneAddress) {
  constexpr size_t kBytes = 5 * kMiB + 1;
  region_ = must(make(kBytes));
  EXPECT_LT(region_->size_bytes(), kBytes + 64 * kKiB) << "whole pages, no more";
  EXPECT_EQ(region_->extents(), 1U);
  EXPECT_EQ(region_->pin(0, 1, stream()).error().code, ErrorCode::kUsage) << "nowhere yet";
  ASSERT_TRUE(region_->make_resident(0, kBytes, Tier::kHost));
  EXPECT_EQ(pool_->budget(Tier::kHost).usage(Tag::kWeights).bytes, region_->size_bytes());
  {
    const Pin pin = must(region_->pin_for_host(0, 5 * kMiB));
    auto* const words = reinterpret_cast<uint64_t*>(pin.data());
    for (uint64_t i = 0; i < pin.size_bytes() / 8; ++i) words[i] = ops::pattern_word(7, i);
  }
  const Pin pin = must(region_->pin(0, 5 * kMiB, stream()));
  EXPECT_EQ(pattern_mismatches(pin.data(), pin.size_bytes(), 7), 0U);
}

TEST_P(HostRegions, NeverLeaveTheHost) {
  region_ = must(make(kMiB));
  const auto refused = region_->make_resident(0, kMiB, Tier::kHbm);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("host only"));
  ASSERT_TRUE(region_->make_resident(0, kMiB, Tier::kHost));
  EXPECT_EQ(region_->move(0, kMiB, Tier::kHbm).error().code, ErrorCode::kUsage);
}

TEST_P(HostRegions, AreChargedAndGivenBack) {
  EXPECT_EQ(must(make(kBudget + kMiB))->make_resident(0, kMiB, Tier::kHost).error().code,
            ErrorCode::kBudget);
  region_ = must(make(kBudget));
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(region_->make_resident(0, 1, Tier::kHost));
    EXPECT_EQ(pool_->budget(Tier::kHost).free_bytes(), 0U);
    ASSERT_TRUE(region_->discard(0, kBudget));
    EXPECT_EQ(pool_->budget(Tier::kHost).usage().bytes, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Gpus, HostRegions, testing::ValuesIn(platform::gpu_kinds()),
                         platform::name_of_kind);

}  // namespace
}  // namespace spillway::memory
