// Perplexity does not depend on budget and chunk, and is what the logits say.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/perplexity.h"
#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::engine {
namespace {

constexpr size_t kContext = 32;

std::vector<formats::TokenId> some_text(size_t tokens) {
  std::vector<formats::TokenId> ids(tokens);
  for (size_t i = 0; i < tokens; ++i) ids[i] = static_cast<formats::TokenId>(3 + i * 37 % 256);
  return ids;
}

class Perplexities : public ::testing::Test {
 protected:
  Perplexities() { platform_->put_file("tiny", test::tiny_llama_file({})); }

  // Calls `use` with an engine that takes `chunk` tokens a pass. 0: the least budget that does.
  template <typename Use>
  void with_engine(uint64_t host_budget_bytes, size_t chunk, const Use& use) {
    ModelFile model = ModelFile::open(*platform_, "tiny").value();
    const RunShape shape{.positions = kContext, .chunk = chunk, .outputs = chunk};
    Settings settings;
    settings.host_budget_bytes = host_budget_bytes == 0 ? kGiB : host_budget_bytes;
    const auto plan = [&] {
      return plan_run(model, *ops_, settings, shape, test::machine_with_disk(2e9)).value();
    };
    if (host_budget_bytes == 0) settings.host_budget_bytes = plan().plan.least_budget_bytes;
    memory::Budget budget(memory::Tier::kHost, settings.host_budget_bytes);
    auto engine = Engine::load({*platform_, budget, *ops_}, model, settings, plan(), {});
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    use(**engine, model.tokenizer);
  }

  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform({});
  ThreadPool pool_{2};
  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops(pool_);
};

TEST_F(Perplexities, AreTheSameForEveryBudgetAndChunk) {
  const auto text = some_text(3 * kContext + 5);
  std::vector<Perplexity> all;
  for (const uint64_t budget : {uint64_t{kGiB}, uint64_t{0}}) {
    for (const size_t chunk : {1U, 7U, 32U}) {
      with_engine(budget, chunk, [&](Engine& engine, const formats::Tokenizer& tokenizer) {
        size_t chunks = 0;
        const auto result = measure_perplexity(
            engine, tokenizer, text,
            {.context = kContext, .on_chunk = [&](const Perplexity&) { ++chunks; }});
        ASSERT_TRUE(result.has_value()) << result.error().message;
        EXPECT_EQ(chunks, 3u);
        all.push_back(*result);
      });
    }
  }
  ASSERT_EQ(all.size(), 6u);
  for (const Perplexity& one : all) {
    EXPECT_EQ(one.chunks, 3u);
    EXPECT_EQ(one.scored, 3 * (kContext / 2 - 1));
    EXPECT_EQ(one.mean_nll, all[0].mean_nll);
    EXPECT_EQ(one.standard_error, all[0].standard_error);
  }
}

TEST_F(Perplexities, AreWhatTheLogitsSay) {
  const auto text = some_text(kContext);
  with_engine(kGiB, kContext, [&](Engine& engine, const formats::Tokenizer& tokenizer) {
    const auto result =
        measure_perplexity(engine, tokenizer, text, {.context = kContext, .on_chunk = {}});
    ASSERT_TRUE(result.has_value()) << result.error().message;
    engine.rewind(0);
    auto ids = text;
    ids[0] = 1;  // BOS
    const auto logits = engine.evaluate(ids, kContext).value();
    const size_t vocabulary = logits.size() / kContext;
    double total = 0;
    for (size_t i = kContext / 2; i + 1 < kContext; ++i) {
      double sum = 0;
      for (size_t v = 0; v < vocabulary; ++v)
        sum += std::exp(static_cast<double>(logits[i * vocabulary + v]));
      const auto next = static_cast<size_t>(ids[i + 1]);
      total += std::log(sum) - static_cast<double>(logits[i * vocabulary + next]);
    }
    EXPECT_NEAR(result->mean_nll, total / (kContext / 2 - 1), 1e-9);
    EXPECT_NEAR(result->value(), std::exp(result->mean_nll), 1e-9 * result->value());
  });
}

TEST_F(Perplexities, ATextShorterThanAChunkIsRefused) {
  with_engine(kGiB, 1, [&](Engine& engine, const formats::Tokenizer& tokenizer) {
    const auto result = measure_perplexity(engine, tokenizer, some_text(kContext - 1),
                                           {.context = kContext, .on_chunk = {}});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  });
}

}  // namespace
}  // namespace spillway::engine
