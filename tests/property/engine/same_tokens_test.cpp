// Whatever the budget, the threads, the chunks and the machine: the same tokens and, bit by bit,
// the same logits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "platform/linux/linux_platform.h"
#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/temp_folder.h"
#include "support/tiny_llama.h"

namespace spillway::test {
namespace {

std::unique_ptr<platform::SimulatedPlatform> machine_with(
    const TinyLlama& tiny, const platform::SimulatedMachine& description = {}) {
  auto platform = platform::make_simulated_platform(description);
  platform->put_file(kPath, tiny_llama_file(tiny));
  return platform;
}

void expect_same(const Outcome& outcome, const Outcome& reference) {
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(outcome.ids, reference.ids);
  ASSERT_EQ(outcome.logits.size(), reference.logits.size());
  EXPECT_EQ(std::memcmp(outcome.logits.data(), reference.logits.data(),
                        reference.logits.size() * sizeof(float)),
            0);
}

// From the smallest to one in which everything stays.
std::vector<uint64_t> budgets_between(const BudgetRange& range) {
  const uint64_t step = (range.all - range.least) / 4;
  return {range.least,   range.least + 4096, range.least + step, range.least + 2 * step,
          range.all - 1, range.all,          range.all + kMiB};
}

// Two slices of one matrix, the first of which streams.
bool slices_together(const placement::Plan& plan) {
  const auto other = [&](const placement::Slice& slice, const placement::Slice& next) {
    return slice.weight == next.weight && plan.units[slice.unit].cycle_index.has_value();
  };
  return std::adjacent_find(plan.slices.begin(), plan.slices.end(), other) != plan.slices.end();
}

class SameTokens : public ::testing::TestWithParam<TinyLlama> {};

TEST_P(SameTokens, ForEveryBudgetChunkAndThreads) {
  const auto platform = machine_with(GetParam());
  const Outcome reference = run_model(*platform, kPath, kGiB, {});
  ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
  ASSERT_TRUE(reference.plan->cycle.empty());
  ASSERT_EQ(reference.ids.size(), 6u);
  size_t streamed = 0;
  for (const size_t chunk : {1u, 7u, 64u}) {
    for (const unsigned threads : {1U, 2U}) {
      const BudgetRange range =
          budget_range(*platform, kPath, {.threads = threads, .chunk = chunk});
      ASSERT_LT(range.least, range.all);
      for (const uint64_t budget : budgets_between(range)) {
        SCOPED_TRACE(::testing::Message()
                     << "budget " << budget << ", chunk " << chunk << ", threads " << threads);
        const Outcome outcome =
            run_model(*platform, kPath, budget, {.threads = threads, .chunk = chunk});
        expect_same(outcome, reference);
        EXPECT_LE(outcome.peak_bytes, budget);
        EXPECT_EQ(outcome.held_bytes, 0u);
        EXPECT_EQ(platform->committed_bytes(), 0u);
        EXPECT_EQ(outcome.shape.chunk, std::min<size_t>(chunk, 11));
        if (!outcome.plan->cycle.empty()) ++streamed;
      }
    }
  }
  EXPECT_GE(streamed, 18u);
}

// From 32 tokens on, slices of a matrix are multiplied several at a time.
TEST_P(SameTokens, ForALongPrompt) {
  const auto platform = machine_with(GetParam());
  Request request;
  for (const size_t length = 4 * request.prompt.size(); request.prompt.size() < length;)
    request.prompt.push_back(request.prompt[request.prompt.size() - 10]);
  const Outcome reference = run_model(*platform, kPath, kGiB, request);
  ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
  bool together = false;
  for (const uint64_t budget : budgets_between(budget_range(*platform, kPath, request))) {
    const Outcome outcome = run_model(*platform, kPath, budget, request);
    expect_same(outcome, reference);
    together = together || slices_together(*outcome.plan);
  }
  // The others' matrices are a slice each.
  EXPECT_TRUE(together || GetParam().dtype != DType::kF32);
}

TEST_P(SameTokens, OneByteLessIsRefusedBeforeAnythingIsRead) {
  const auto platform = machine_with(GetParam());
  const Request request{.chunk = 1};
  const BudgetRange range = budget_range(*platform, kPath, request);
  const Outcome outcome = run_model(*platform, kPath, range.least - 1, request);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->code, ErrorCode::kBudget);
  EXPECT_EQ(outcome.peak_bytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Models, SameTokens,
    ::testing::Values(TinyLlama{.dtype = DType::kF32},
                      TinyLlama{.dtype = DType::kF32, .tied = true},
                      TinyLlama{.dtype = DType::kQ8_0, .layers = 3},
                      TinyLlama{.dtype = DType::kQ4_1, .tied = true, .family = "gpt2", .layers = 9},
                      TinyLlama{.dtype = DType::kF16, .family = "gpt2", .seed = 5}),
    [](const auto& tiny) {
      return fmt::format("{}_{}_{}", dtype_info(tiny.param.dtype).name, tiny.param.family,
                         tiny.param.tied ? "tied" : "untied");
    });

TEST(SameTokensSampled, ForASeed) {
  const auto platform = machine_with({});
  Request request;
  request.max_tokens = 12;
  request.sampling = {
      .temperature = 0.9, .top_k = 40, .top_p = 0.95, .repeat_penalty = 1.1, .seed = 11};
  const Outcome reference = run_model(*platform, kPath, kGiB, request);
  ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
  const BudgetRange range = budget_range(*platform, kPath, request);
  expect_same(run_model(*platform, kPath, range.least, request), reference);
  request.sampling.seed = 12;
  EXPECT_NE(run_model(*platform, kPath, kGiB, request).ids, reference.ids);
}

TEST(SameTokensOnMachines, OfOtherAlignmentsAndWithoutDirectReads) {
  const Outcome reference = run_model(*machine_with({}), kPath, kGiB, {});
  ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
  const platform::SimulatedMachine machines[] = {
      {.refuse_direct = true},
      {.offset_alignment = 4096, .memory_alignment = 4096},
      {.offset_alignment = 512, .memory_alignment = 4096},
      {.offset_alignment = 4096, .memory_alignment = 4},
      {.offset_alignment = 1, .memory_alignment = 1},
      {.page_bytes = 65536},
      {.disk_bytes_per_second = 1e5, .disk_latency_seconds = 0.5},
  };
  for (size_t i = 0; i < std::size(machines); ++i) {
    SCOPED_TRACE(::testing::Message() << "machine " << i);
    const auto platform = machine_with({}, machines[i]);
    const BudgetRange range = budget_range(*platform, kPath, {});
    for (const uint64_t budget : budgets_between(range)) {
      SCOPED_TRACE(::testing::Message() << "budget " << budget);
      const Outcome outcome = run_model(*platform, kPath, budget, {});
      expect_same(outcome, reference);
      EXPECT_LE(outcome.peak_bytes, budget);
      EXPECT_EQ(outcome.held_bytes, 0u);
    }
  }
}

// F32 stays in the mapping; Q8_0 leaves it where its kernels have a form of their own, and then
// comes into the page cache where it is not there.
TEST(SameTokensMapped, WhereThePageCacheHoldsTheFile) {
  for (const DType dtype : {DType::kF32, DType::kQ8_0}) {
    SCOPED_TRACE(dtype_info(dtype).name);
    const uint64_t size = tiny_llama_file({.dtype = dtype}).size();
    const auto small = machine_with({.dtype = dtype}, {.host_bytes = 2 * size});
    const Outcome reference = run_model(*small, kPath, kGiB, {});
    ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
    EXPECT_FALSE(reference.mapped);
    const auto platform = machine_with({.dtype = dtype});
    const auto file = platform->open(kPath, {.caching = platform::Caching::kUse}).value();
    ThreadPool pool(1);
    const bool called = ops::make_cpu_ops(pool)->prefers_interleaved(dtype, 64);
    for (const bool mapped : {called, true}) {
      const Outcome outcome = run_model(*platform, kPath, kGiB, {});
      EXPECT_EQ(outcome.mapped, mapped);
      EXPECT_GE(outcome.peak_bytes, reference.peak_bytes) << "pages of the cache count as held";
      EXPECT_LE(outcome.peak_bytes, sum_of(outcome.plan->charges));
      expect_same(outcome, reference);
      EXPECT_EQ(outcome.held_bytes, 0u);
      EXPECT_EQ(platform->committed_bytes(), 0u);
      EXPECT_EQ(file->cached_bytes() > 0, mapped);
      std::vector<std::byte> all(size);
      ASSERT_TRUE(file->read(0, all).has_value());
    }
  }
}

TEST(SameTokensCapped, WithinTheCapOnWeights) {
  const auto platform = machine_with({});
  const Outcome reference = run_model(*platform, kPath, kGiB, {});
  ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
  const uint64_t norms = 5 * 64 * sizeof(float);
  for (const uint64_t cap : {norms, norms + 100000, norms + 200000, norms + kMiB}) {
    SCOPED_TRACE(::testing::Message() << "cap " << cap);
    expect_same(run_model(*platform, kPath, kGiB, {.weights_budget_bytes = cap}), reference);
  }
}

TEST(SameTokensKv, WithKeysAndValuesOfEveryOtherDType) {
  const auto platform = machine_with({});
  for (const DType kv : {DType::kF32, DType::kBF16}) {
    const Outcome reference = run_model(*platform, kPath, kGiB, {.kv = kv});
    ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
    const Request request{.threads = 2, .chunk = 3, .kv = kv};
    const BudgetRange range = budget_range(*platform, kPath, request);
    expect_same(run_model(*platform, kPath, range.least, request), reference);
  }
}

TEST(SameTokensKv, HeadsThatAreNoWholeBlocksAreRefused) {
  const auto platform = machine_with({});
  const Outcome outcome = run_model(*platform, kPath, kGiB, {.kv = DType::kQ8_0});
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->code, ErrorCode::kUsage);
  EXPECT_EQ(outcome.peak_bytes, 0u);
}

TEST(SameTokensArchitectures, StreamedInChunksByThreadsAsAllAtOnce) {
  for (const model::Architecture& architecture : model::architectures()) {
    SCOPED_TRACE(architecture.models);
    const auto platform = machine_with(
        {.dtype = DType::kQ8_0, .layers = 4, .architecture = std::string(architecture.name)});
    const Outcome reference = run_model(*platform, kPath, kGiB, {});
    ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
    const Request request{.threads = 2, .chunk = 3};
    const BudgetRange range = budget_range(*platform, kPath, request);
    const Outcome least = run_model(*platform, kPath, range.least, request);
    expect_same(least, reference);
    EXPECT_FALSE(least.plan->cycle.empty());
    EXPECT_LE(least.peak_bytes, range.least);
  }
}

class OnLinux : public ::testing::Test {
 protected:
  OnLinux() {
    const auto bytes = tiny_llama_file({});
    std::ofstream(path(), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  std::string path() const { return (folder_.path() / "tiny.gguf").string(); }

  test::TempFolder folder_{"engine"};
  std::unique_ptr<platform::Platform> platform_ = platform::make_linux_platform();
};

TEST_F(OnLinux, TheSameTokensAsOnTheSimulatedMachine) {
  const Outcome reference = run_model(*machine_with({}), kPath, kGiB, {});
  ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
  for (const auto caching : {platform::Caching::kAvoid, platform::Caching::kUse}) {
    for (const auto queue : {platform::QueueMethod::kAutomatic, platform::QueueMethod::kThreads}) {
      const Request request{.open = {.caching = caching, .queue = queue}};
      const BudgetRange range = budget_range(*platform_, path(), request);
      ASSERT_LT(range.least, range.all);
      for (const uint64_t budget : budgets_between(range)) {
        SCOPED_TRACE(::testing::Message() << "budget " << budget);
        const Outcome outcome = run_model(*platform_, path(), budget, request);
        expect_same(outcome, reference);
        EXPECT_LE(outcome.peak_bytes, budget);
        EXPECT_EQ(outcome.held_bytes, 0u);
      }
    }
  }
}

}  // namespace
}  // namespace spillway::test
