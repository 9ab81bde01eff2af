// What lives where, as JSON, and pins that had to wait.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/units.h"
#include "extent.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory.h"

namespace spillway::memory {
namespace {

class Reports : public ::testing::Test {
 protected:
  std::unique_ptr<Region> region(const std::string& name, Tag tag) {
    return pool_
        ->create_region(
            {.size_bytes = 4 * kExtent, .extent_bytes = kExtent, .tag = tag, .name = name})
        .value();
  }

  std::unique_ptr<platform::SimulatedGpu> gpu_ =
      platform::make_simulated_gpu({.work_delay = std::chrono::milliseconds(2)});
  std::unique_ptr<Pool> pool_ =
      Pool::create(*gpu_, {.hbm_budget_bytes = kMiB, .host_budget_bytes = kMiB}).value();
};

TEST_F(Reports, AreJsonWithEveryNumber) {
  const auto weights = region("weights \xff", Tag::kWeights);
  {
    const auto gone = region("gone", Tag::kKv);
    ASSERT_TRUE(gone->make_resident(0, kExtent, Tier::kHbm));
    ASSERT_TRUE(gone->make_resident(0, kExtent, Tier::kHost));
  }
  ASSERT_TRUE(weights->make_resident(0, 3 * kExtent, Tier::kHbm));
  const auto json = nlohmann::json::parse(to_json(pool_->report()));
  EXPECT_EQ(json["tiers"]["hbm"]["limit_bytes"], kMiB);
  EXPECT_EQ(json["regions"].size(), 1U);
  EXPECT_EQ(json["regions"][0]["hbm_bytes"], 3 * kExtent);
  EXPECT_EQ(json["regions"][0]["tag"], "weights");
  EXPECT_EQ(json["activity"]["bytes_to_host"], kExtent) << "of a region that is gone";
  for (const auto& tag : json["tags"]) {
    if (tag["tag"] != "kv") continue;
    EXPECT_EQ(tag["activity"]["extents_to_host"], 1U);
    EXPECT_GT(tag["activity"]["bytes_per_second_to_host"], 0);
    EXPECT_EQ(tag["hbm_bytes"], 0U);
  }
}

TEST_F(Reports, APinThatWaitsForAMoveIsAStall) {
  const auto moving = region("moving", Tag::kWeights);
  ASSERT_TRUE(moving->make_resident(0, 4 * kExtent, Tier::kHbm));
  ASSERT_TRUE(moving->pin(0, kExtent, Stream{}));
  EXPECT_EQ(pool_->report().activity.stalls, 0U);
  const auto transfer = moving->move(0, kExtent, Tier::kHost);
  ASSERT_TRUE(transfer);
  ASSERT_TRUE(moving->pin(0, kExtent, Stream{}));
  const Activity activity = pool_->report().regions.front().activity;
  EXPECT_EQ(activity.stalls, 1U);
  EXPECT_GT(activity.stall_seconds, 0);
  ASSERT_TRUE(transfer->wait());
}

}  // namespace
}  // namespace spillway::memory
