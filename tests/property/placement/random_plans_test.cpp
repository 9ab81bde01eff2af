// Random models, budgets and machines: what holds of every plan.
#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "placement/units.h"
#include "support/placement_workloads.h"

namespace spillway::placement {
namespace {

constexpr int kCases = 150;

class Random {
 public:
  explicit Random(uint64_t seed) : random_(seed) {}
  uint64_t between(uint64_t low, uint64_t high) {
    return std::uniform_int_distribution<uint64_t>(low, high)(random_);
  }
  bool once_in(uint64_t n) { return between(1, n) == 1; }
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[between(0, values.size() - 1)];
  }

 private:
  std::mt19937_64 random_;
};

std::vector<model::Weight> random_weights(Random& random) {
  std::vector<model::Weight> weights;
  uint64_t at = random.between(0, 100000);
  const size_t count = random.between(1, random.one_of<uint64_t>({2, 30}));
  for (size_t i = 0; i < count; ++i) {
    const auto dtype = random.one_of({DType::kF32, DType::kQ8_0, DType::kQ4_1});
    const size_t columns = 32 * random.one_of<size_t>({1, 3, 16, 64, 200});
    weights.push_back({.name = fmt::format("blk.{}.w{}.weight", i / 3, i % 3),
                       .dtype = dtype,
                       .rows = random.between(1, random.one_of<uint64_t>({4, 100, 1200})),
                       .columns = columns,
                       .file_offset = at});
    at += weights.back().size_bytes() + (random.once_in(3) ? random.between(0, 9000) : 0);
  }
  // The file's order is not always that of execution.
  if (random.once_in(4) && weights.size() > 2) {
    std::vector<model::Weight> rest(weights.begin() + 1, weights.end());
    rest.push_back(weights.front());
    weights = rest;
  }
  return weights;
}

Workload random_workload(Random& random) {
  Workload workload;
  workload.weights = random_weights(random);
  workload.embedding = workload.weights.back();
  uint64_t end = test::end_of(workload.weights);
  if (random.once_in(2)) {
    workload.embedding.name = "token_embd.weight";
    workload.embedding.file_offset = end;
    end += workload.embedding.size_bytes();
  }
  workload.charges = {{memory::Tag::kWeights, "norms", random.between(0, 5000)},
                      {memory::Tag::kKv, "positions", 4096 * random.between(1, 100)},
                      {memory::Tag::kOther, "program", random.between(0, kMiB)}};
  workload.host_budget_bytes = UINT32_MAX;
  workload.ops_per_token = random.between(0, 100);
  const size_t alignment = random.one_of<size_t>({1, 512, 4096});
  workload.file = {.path = "model",
                   .size_bytes = end + random.between(0, 5000),
                   .offset_alignment = alignment,
                   .memory_alignment = random.one_of<size_t>({1, 512, 4096}),
                   .direct = alignment > 1,
                   .device = random.one_of<uint64_t>({test::kDevice, 8})};
  return workload;
}

// What must hold of any plan for the workload.
void check_plan(const Workload& workload, const Plan& plan) {
  EXPECT_LE(test::sum_of(plan.charges), workload.host_budget_bytes);
  if (workload.weights_budget_bytes) {
    EXPECT_LE(test::sum_of(plan.charges, memory::Tag::kWeights), *workload.weights_budget_bytes);
  }
  EXPECT_EQ(test::fault_of_cut(workload.weights, SIZE_MAX, plan.slices, plan.units), "");
  EXPECT_EQ(test::fault_of_cycle(plan.units, plan.cycle), "");
  EXPECT_EQ(plan.resident_bytes, test::pages_that_stay(plan.units, workload.page_bytes));
  EXPECT_EQ(plan.staging.slots == 0, plan.cycle.empty());
  EXPECT_NE(plan.staging.slots, 1u);
  for (const memory::StreamRange& range : plan.cycle) {
    EXPECT_LE(memory::StagingRing::padded_bytes(range, workload.file), plan.staging.slot_bytes);
  }
  const uint64_t stride = round_up(plan.staging.slot_bytes, workload.file.memory_alignment);
  EXPECT_LE(plan.staging.slots * stride, test::sum_of(plan.charges, memory::Tag::kStaging));
  EXPECT_TRUE(std::isfinite(plan.prediction.tokens_per_second));
  EXPECT_GT(plan.prediction.tokens_per_second, 0);
  uint64_t grouped = 0;
  for (const Group& group : plan.groups) {
    EXPECT_FALSE(group.name.empty());
    EXPECT_FALSE(group.reason.empty()) << group.name;
    grouped += group.resident_bytes + group.streamed_bytes;
  }
  EXPECT_EQ(grouped, plan.weight_bytes);
  EXPECT_TRUE(nlohmann::ordered_json::accept(to_json(plan).dump()));
  EXPECT_FALSE(explain(plan).empty());
}

class RandomPlans : public testing::TestWithParam<int> {
 protected:
  RandomPlans() : seed_(20240 + static_cast<uint64_t>(GetParam())), random_(seed_) {
    workload_ = random_workload(random_);
    machine_ = random_.once_in(5) ? machine::Machine{} : test::machine_with_disk(2e9);
  }
  Result<Plan> plan_within(uint64_t budget) {
    workload_.host_budget_bytes = budget;
    return make_plan(workload_, machine_);
  }

  uint64_t seed_;
  Random random_;
  Workload workload_;
  machine::Machine machine_;
};

TEST_P(RandomPlans, HoldWhatPlansPromise) {
  SCOPED_TRACE(testing::Message() << "seed " << seed_);
  const auto whole = make_plan(workload_, machine_);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  check_plan(workload_, *whole);
  EXPECT_TRUE(whole->cycle.empty());
  EXPECT_TRUE(whole->embedding_resident);
  const uint64_t least = whole->least_budget_bytes;
  const uint64_t all = test::sum_of(whole->charges);
  ASSERT_LE(least, all);
  for (int i = 0; i < 4; ++i) {
    const uint64_t budget = random_.between(least, all + 10000);
    SCOPED_TRACE(testing::Message() << "budget " << budget);
    const auto plan = plan_within(budget);
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    check_plan(workload_, *plan);
    EXPECT_EQ(plan->least_budget_bytes, least);
    EXPECT_EQ(to_json(*plan).dump(), to_json(make_plan(workload_, machine_).value()).dump());
  }
}

TEST_P(RandomPlans, TheLeastBudgetIsTheLeast) {
  SCOPED_TRACE(testing::Message() << "seed " << seed_);
  if (random_.once_in(2)) {
    const uint64_t norms = test::sum_of(workload_.charges, memory::Tag::kWeights);
    workload_.weights_budget_bytes =
        norms + random_.between(0, random_.one_of<uint64_t>({0, 50000, 2 * kMiB}));
  }
  const auto whole = make_plan(workload_, machine_);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  check_plan(workload_, *whole);
  const uint64_t least = whole->least_budget_bytes;
  const auto at_least = plan_within(least);
  ASSERT_TRUE(at_least.has_value()) << at_least.error().message;
  check_plan(workload_, *at_least);
  for (const uint64_t missing : {uint64_t{1}, uint64_t{4096}, least}) {
    if (missing > least) continue;
    const auto refused = plan_within(least - missing);
    ASSERT_FALSE(refused.has_value()) << missing << " missing";
    EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
    EXPECT_NE(refused.error().message.find(fmt::format("({} bytes)", least)), std::string::npos)
        << refused.error().message;
  }
}

TEST_P(RandomPlans, CutsAndChoicesAreSound) {
  SCOPED_TRACE(testing::Message() << "seed " << seed_);
  const size_t block = random_.one_of<size_t>({1, 5000, 65536, 1 << 20});
  Cut cut = cut_units(workload_.weights, block);
  ASSERT_EQ(test::fault_of_cut(workload_.weights, block, cut.slices, cut.units), "");
  EXPECT_EQ(resident_page_bytes(cut.units, 4096), test::pages_that_stay(cut.units, 4096));
  const uint64_t all = resident_page_bytes(cut.units, 4096);
  for (int i = 0; i < 5; ++i) {
    const uint64_t capacity = random_.between(0, all);
    const auto cycle = choose_resident(cut.units, capacity, 4096);
    EXPECT_EQ(test::fault_of_cycle(cut.units, cycle), "");
    EXPECT_LE(test::pages_that_stay(cut.units, 4096), capacity);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPlans, testing::Range(0, kCases));

}  // namespace
}  // namespace spillway::placement
