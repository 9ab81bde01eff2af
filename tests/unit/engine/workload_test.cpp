// What a run is planned to hold: KV blocks, chunks that give way to small budgets.
#include <gtest/gtest.h>

#include "engine/kv_cache.h"
#include "engine/measure_kernels.h"
#include "engine/measure_pass.h"
#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::engine {
namespace {

TEST(KvCache, TakesWholeBlocks) {
  static_assert(kKvBlockTokens == 16);
  EXPECT_EQ(KvCache::blocks_for(0), 0u);
  EXPECT_EQ(KvCache::blocks_for(1), 1u);
  EXPECT_EQ(KvCache::blocks_for(16), 1u);
  EXPECT_EQ(KvCache::blocks_for(17), 2u);
  EXPECT_EQ(KvCache::blocks_for(4096), 256u);
}

class Workloads : public ::testing::Test {
 protected:
  Workloads() { platform_->put_file("tiny", test::tiny_llama_file({})); }
  ModelFile open() { return ModelFile::open(*platform_, "tiny").value(); }

  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform({});
  ThreadPool pool_{1};
  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops(pool_);
};

TEST_F(Workloads, KvBlocksAreCharged) {
  const ModelFile model = open();
  for (const DType dtype : {DType::kF16, DType::kF32}) {
    const auto layout = model::KvLayout::of(model.transformer.config(), dtype, kKvBlockTokens);
    // Keys and values, 2 layers, 16 positions, 2 heads of 16.
    EXPECT_EQ(layout.block_bytes, 2u * 2 * 16 * 2 * 16 * (dtype == DType::kF16 ? 2 : 4));
    memory::Budget budget(memory::Tier::kHost, kMiB);
    {
      const auto cache = KvCache::create(*platform_, budget, layout, 33);
      ASSERT_TRUE(cache.has_value()) << cache.error().message;
      EXPECT_EQ(cache->positions(), 33u);
      ASSERT_EQ(cache->blocks().size(), 3u);
      for (size_t i = 1; i < 3; ++i) {
        EXPECT_EQ(cache->blocks()[i] - cache->blocks()[i - 1],
                  static_cast<ptrdiff_t>(layout.block_bytes));
      }
      EXPECT_EQ(budget.usage(memory::Tag::kKv).bytes, round_up(3 * layout.block_bytes, 4096));
    }
    EXPECT_EQ(budget.usage().bytes, 0u);
    memory::Budget small(memory::Tier::kHost, round_up(3 * layout.block_bytes, 4096) - 1);
    const auto refused = KvCache::create(*platform_, small, layout, 33);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  }
}

TEST_F(Workloads, TheChunkIsHalvedUntilItsBuffersAreASmallShare) {
  const ModelFile model = open();
  const auto bytes = [&](size_t tokens, size_t outputs) {
    return model::Activations::size_bytes(model.transformer.config(), *ops_, tokens, outputs);
  };
  Settings settings;
  settings.host_budget_bytes = 8 * bytes(64, 1);
  EXPECT_EQ(run_shape(model, *ops_, settings, {64, 10, false}).chunk, 64u);
  settings.host_budget_bytes -= 8;
  EXPECT_EQ(run_shape(model, *ops_, settings, {64, 10, false}).chunk, 32u);
  settings.host_budget_bytes = 8 * bytes(8, 1);
  EXPECT_EQ(run_shape(model, *ops_, settings, {64, 10, false}).chunk, 8u);
  const RunShape all = run_shape(model, *ops_, settings, {64, 10, true});
  EXPECT_LT(all.chunk, 8u);
  EXPECT_EQ(all.outputs, all.chunk);
  settings.host_budget_bytes = 0;
  const RunShape one = run_shape(model, *ops_, settings, {64, 10, false});
  EXPECT_EQ(one.chunk, 1u);
  EXPECT_EQ(one.outputs, 1u);
  EXPECT_EQ(one.positions, 74u);
}

TEST_F(Workloads, TheChunkIsAtMostThePromptAndWhatWasAskedFor) {
  const ModelFile model = open();
  const Settings settings{
      .host_budget_bytes = kGiB, .weights_budget_bytes = {}, .prompt_chunk = 50};
  EXPECT_EQ(run_shape(model, *ops_, settings, {7, 1, false}).chunk, 7u);
  EXPECT_EQ(run_shape(model, *ops_, settings, {70, 1, false}).chunk, 50u);
  EXPECT_EQ(run_shape(model, *ops_, settings, {0, 1, false}).chunk, 1u);
}

TEST_F(Workloads, ChunksGiveWayBeforeTheRunIsRefused) {
  const ModelFile model = open();
  const auto plan_with = [&](uint64_t budget, const RunShape& shape) {
    return plan_run(model, *ops_, {.host_budget_bytes = budget, .weights_budget_bytes = {}}, shape,
                    test::machine_with_disk(2e9));
  };
  const auto least_of = [&](const RunShape& shape) {
    const RunPlan run = plan_with(kGiB, shape).value();
    EXPECT_EQ(run.shape.chunk, shape.chunk);
    return run.plan.least_budget_bytes;
  };
  const uint64_t least_64 = least_of({.positions = 80, .chunk = 64, .outputs = 64});
  const uint64_t least_32 = least_of({.positions = 80, .chunk = 32, .outputs = 32});
  const uint64_t least_1 = least_of({.positions = 80, .chunk = 1, .outputs = 1});
  ASSERT_LT(least_1, least_32);
  ASSERT_LT(least_32, least_64);
  const std::pair<uint64_t, size_t> cases[] = {
      {least_64, 64}, {least_64 - 1, 32}, {least_32, 32}, {least_1, 1}};
  for (const auto& [budget, chunk] : cases) {
    const auto run = plan_with(budget, {.positions = 80, .chunk = 64, .outputs = 64});
    ASSERT_TRUE(run.has_value()) << run.error().message;
    EXPECT_EQ(run->shape.chunk, chunk);
    EXPECT_EQ(run->shape.outputs, chunk);
    EXPECT_LE(test::sum_of(run->plan.charges), budget);
  }
  const auto refused = plan_with(least_1 - 1, {.positions = 80, .chunk = 64, .outputs = 64});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_NE(refused.error().message.find(fmt::format("({} bytes)", least_1)), std::string::npos);
}

// A virtual clock does not see computing: that a pass runs, and gives back what it held.
TEST_F(Workloads, APassWithoutProductsIsMeasured) {
  ModelFile model = open();
  memory::Budget budget(memory::Tier::kHost, kMiB);
  const Context context{*platform_, budget, *ops_, nullptr};
  for (model::SmallTensor& tensor : model.transformer.small_tensors())
    tensor.values.assign(tensor.size, 1.0F);
  for (const size_t position : {size_t{0}, size_t{40}}) {
    const auto seconds = measure_pass(context, model, DType::kF16, position);
    ASSERT_TRUE(seconds.has_value()) << seconds.error().message;
    EXPECT_EQ(*seconds, 0);
  }
  EXPECT_GT(budget.usage(memory::Tag::kKv).peak_bytes, 0u);
  EXPECT_EQ(budget.usage().bytes, 0u);
  memory::Budget small(memory::Tier::kHost, 4 * kKiB);
  const auto refused = measure_pass({*platform_, small, *ops_, nullptr}, model, DType::kF16, 40);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
}

TEST_F(Workloads, KernelsAreMeasuredBesideSomethingElse) {
  memory::Budget budget(memory::Tier::kHost, kMiB);
  const Context context{*platform_, budget, *ops_, nullptr};
  machine::Machine machine;
  int calls = 0;
  KernelMeasurement what{
      .dtypes = {DType::kQ8_0}, .columns = 256, .rows = 16, .buffer_bytes = 64 * kKiB};
  what.beside = [&]() -> Result<void> {
    // The virtual clock stands still while kernels run.
    platform_->spend(0.1);
    ++calls;
    return {};
  };
  ASSERT_TRUE(measure_kernels(context, what, machine).has_value());
  EXPECT_GE(calls, 5 * 15);  // 15 products of 16 rows fill the buffer
  EXPECT_NEAR(machine.kernel_rate("Q8_0", 1), 16 * 272 / 0.1, 1);
  what.beside = []() -> Result<void> { return fail(ErrorCode::kMachine, "the disk is gone"); };
  const auto failed = measure_kernels(context, what, machine);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kMachine);
  EXPECT_EQ(budget.usage().bytes, 0u);
}

}  // namespace
}  // namespace spillway::engine
