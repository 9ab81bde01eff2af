// Plans of a model of known size on a machine of known rates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/placement_workloads.h"

namespace spillway::placement {
namespace {

using testing::HasSubstr;

constexpr uint64_t kFixed = kMiB + 100;
constexpr uint64_t kWeightBytes = 32 * kMiB;

// 16 layers of two matrices of 1 MiB each.
Workload some_workload(uint64_t host_budget_bytes) {
  Workload workload;
  workload.weights = test::layered_weights(16, 1024, 256);
  workload.embedding = workload.weights.back();
  workload.charges = {{memory::Tag::kKv, "64 positions", kMiB},
                      {memory::Tag::kWeights, "norms", 100}};
  workload.host_budget_bytes = host_budget_bytes;
  workload.ops_per_token = 100;
  workload.file = {.path = "model",
                   .size_bytes = test::end_of(workload.weights),
                   .offset_alignment = 512,
                   .memory_alignment = 512,
                   .direct = true,
                   .device = test::kDevice};
  return workload;
}

Plan plan_within(uint64_t host_budget_bytes) {
  auto plan = make_plan(some_workload(host_budget_bytes), test::machine_with_disk(2e9));
  EXPECT_TRUE(plan.has_value()) << plan.error().message;
  return *std::move(plan);
}

TEST(MakePlan, KeepsEverythingWhereItFits) {
  const Plan plan = plan_within(kFixed + kWeightBytes);
  EXPECT_TRUE(plan.cycle.empty());
  EXPECT_EQ(plan.staging.slots, 0u);
  EXPECT_TRUE(plan.embedding_resident);
  EXPECT_EQ(plan.weight_bytes, kWeightBytes);
  EXPECT_EQ(plan.resident_bytes, kWeightBytes);
  EXPECT_EQ(plan.prediction.disk_bytes, 0u);
  EXPECT_EQ(test::sum_of(plan.charges), kFixed + kWeightBytes);
}

// 32 products and 68 other ops of 1 us each; or what the others were measured to take.
TEST(MakePlan, WhatATokenTakesBesideItsProductsCounts) {
  Workload workload = some_workload(kFixed + kWeightBytes);
  const auto seconds = [&] {
    return make_plan(workload, test::machine_with_disk(2e9)).value().prediction.compute_seconds;
  };
  const double products = static_cast<double>(kWeightBytes) / 8e9 + 32e-6;
  EXPECT_NEAR(seconds(), products + 68e-6, 1e-9);
  workload.seconds_beside_products = 0.25;
  EXPECT_NEAR(seconds(), products + 0.25, 1e-9);
}

TEST(MakePlan, StreamsOnceOneByteIsMissing) {
  const Plan plan = plan_within(kFixed + kWeightBytes - 1);
  EXPECT_FALSE(plan.cycle.empty());
  EXPECT_GE(plan.staging.slots, 2u);
  EXPECT_LE(test::sum_of(plan.charges), kFixed + kWeightBytes - 1);
  EXPECT_EQ(test::fault_of_cycle(plan.units, plan.cycle), "");
  for (const memory::StreamRange& range : plan.cycle) {
    EXPECT_LE(memory::StagingRing::padded_bytes(range, some_workload(0).file),
              plan.staging.slot_bytes);
  }
}

TEST(MakePlan, PredictsFromBytesAndRates) {
  const Plan resident = plan_within(kFixed + kWeightBytes);
  const double compute = static_cast<double>(kWeightBytes) / 8e9 + 100e-6;
  EXPECT_NEAR(resident.prediction.compute_seconds, compute, 1e-12);
  EXPECT_NEAR(resident.prediction.tokens_per_second, 1 / compute, 1e-6);
  EXPECT_NEAR(resident.prediction.bound_tokens_per_second, 20e9 / static_cast<double>(kWeightBytes),
              1e-6);
  const Plan plan = plan_within(kFixed + kWeightBytes / 2);
  uint64_t streamed = 0;
  for (const memory::StreamRange& range : plan.cycle)
    streamed += memory::StagingRing::padded_bytes(range, some_workload(0).file);
  EXPECT_EQ(plan.prediction.disk_bytes, streamed);
  EXPECT_NEAR(plan.prediction.disk_seconds,
              static_cast<double>(streamed) / plan.prediction.disk_bytes_per_second, 1e-12);
  // Some of the shorter is hidden behind the longer.
  const auto [shorter, longer] =
      std::minmax(plan.prediction.disk_seconds, plan.prediction.compute_seconds);
  EXPECT_GT(1 / plan.prediction.tokens_per_second, longer);
  EXPECT_LT(1 / plan.prediction.tokens_per_second, longer + shorter / 2);
  EXPECT_LE(plan.prediction.tokens_per_second, plan.prediction.bound_tokens_per_second);
}

// Every block and depth is as fast: what must read in large blocks may give up memory for them.
machine::Machine machine_with_even_disk() {
  auto machine = test::machine_with_disk(2e9);
  machine.disks[std::to_string(test::kDevice)] = {{{4096, 1, 2e9}}};
  return machine;
}

TEST(MakePlan, MoreBudgetIsNeverSlower) {
  double before = 0;
  for (uint64_t budget = kFixed + 4 * kMiB; budget < kFixed + 36 * kMiB; budget += 2 * kMiB) {
    const auto plan = make_plan(some_workload(budget), machine_with_even_disk());
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    const double now = plan->prediction.tokens_per_second;
    EXPECT_GE(now, before * 0.999) << budget;
    before = now;
  }
}

TEST(MakePlan, TooSmallABudgetSaysHowMuchWouldDo) {
  const auto plan = make_plan(some_workload(kFixed), test::machine_with_disk(2e9));
  ASSERT_FALSE(plan.has_value());
  EXPECT_EQ(plan.error().code, ErrorCode::kBudget);
  const uint64_t least = plan_within(kFixed + kWeightBytes).least_budget_bytes;
  EXPECT_THAT(plan.error().message, HasSubstr(fmt::format("({} bytes)", least)));
  EXPECT_THAT(plan.error().message, HasSubstr("64 positions"));
}

TEST(MakePlan, HoldsTheCapOnWeights) {
  Workload workload = some_workload(64 * kMiB);
  workload.weights_budget_bytes = 8 * kMiB;
  const auto plan = make_plan(workload, machine_with_even_disk());
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_LE(test::sum_of(plan->charges, memory::Tag::kWeights), 8 * kMiB);
  EXPECT_GT(plan->resident_bytes, 6 * kMiB);
  workload.weights_budget_bytes = 100;
  EXPECT_EQ(make_plan(workload, test::machine_with_disk(2e9)).value().resident_bytes, 0u);
  workload.weights_budget_bytes = 99;
  const auto refused = make_plan(workload, test::machine_with_disk(2e9));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
}

// Two slots take more than such a model: keeping it would take less, but the cap forbids that.
TEST(MakePlan, TheLeastBudgetHeedsTheCapOnWeights) {
  Workload workload = some_workload(64 * kMiB);
  workload.weights = test::layered_weights(1, 16, 256);
  workload.embedding = workload.weights.back();
  workload.weights_budget_bytes = 100 + 4096;
  const uint64_t least =
      make_plan(workload, test::machine_with_disk(2e9)).value().least_budget_bytes;
  workload.host_budget_bytes = least;
  const auto plan = make_plan(workload, test::machine_with_disk(2e9));
  EXPECT_TRUE(plan.has_value()) << plan.error().message;
  workload.host_budget_bytes = least - 1;
  EXPECT_FALSE(make_plan(workload, test::machine_with_disk(2e9)).has_value());
}

// The ring rounds its slots up to the memory's alignment, and so must the plan.
TEST(MakePlan, ChargesWhatTheRingWillTake) {
  Workload workload = some_workload(kFixed + 8 * kMiB);
  for (model::Weight& weight : workload.weights) weight.file_offset += 512;
  workload.file.memory_alignment = 4096;
  const auto plan = make_plan(workload, test::machine_with_disk(2e9));
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  const uint64_t stride = round_up(plan->staging.slot_bytes, workload.file.memory_alignment);
  EXPECT_GE(test::sum_of(plan->charges, memory::Tag::kStaging), plan->staging.slots * stride);
}

TEST(MakePlan, ATableOfItsOwnStaysWhereItFits) {
  Workload workload = some_workload(kFixed + kWeightBytes);
  workload.embedding.name = "token_embd.weight";
  workload.embedding.file_offset = round_up(test::end_of(workload.weights), 32);
  workload.file.size_bytes = workload.embedding.file_offset + workload.embedding.size_bytes();
  const auto without = make_plan(workload, test::machine_with_disk(2e9));
  ASSERT_TRUE(without.has_value()) << without.error().message;
  EXPECT_TRUE(without->cycle.empty());
  EXPECT_FALSE(without->embedding_resident);
  workload.host_budget_bytes += workload.embedding.size_bytes() + 8192;
  const auto with = make_plan(workload, test::machine_with_disk(2e9));
  ASSERT_TRUE(with.has_value()) << with.error().message;
  EXPECT_TRUE(with->embedding_resident);
  EXPECT_LE(test::sum_of(with->charges), workload.host_budget_bytes);
}

TEST(MakePlan, UnknownRatesGiveAPlanToo) {
  const auto plan = make_plan(some_workload(kFixed + 8 * kMiB), machine::Machine{});
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_GT(plan->prediction.tokens_per_second, 0);
}

TEST(PlanReport, TellsPeopleAndProgramsTheSame) {
  const Plan plan = plan_within(kFixed + kWeightBytes / 2);
  const auto json = nlohmann::ordered_json::parse(to_json(plan).dump());
  EXPECT_EQ(json["weight_bytes"], kWeightBytes);
  EXPECT_EQ(json["resident_bytes"], plan.resident_bytes);
  EXPECT_EQ(json["least_budget_bytes"], plan.least_budget_bytes);
  EXPECT_EQ(json["staging"]["slots"], plan.staging.slots);
  EXPECT_EQ(json["charges"].size(), plan.charges.size());
  ASSERT_EQ(json["groups"].size(), 2u);
  EXPECT_EQ(json["groups"][0]["name"], "attn_q.weight, 16 layers");
  EXPECT_EQ(json["groups"][1]["name"], "ffn_down.weight, 16 layers");
  const std::string text = explain(plan);
  for (const Group& group : plan.groups) {
    EXPECT_EQ(group.resident_bytes + group.streamed_bytes, kWeightBytes / 2);
    EXPECT_THAT(text, HasSubstr(group.name));
    EXPECT_THAT(text, HasSubstr(group.reason));
  }
  for (const Charge& charge : plan.charges) EXPECT_THAT(text, HasSubstr(charge.name));
}

}  // namespace
}  // namespace spillway::placement
