// Speculative decoding changes how many passes an answer takes, and nothing else.
#include <gtest/gtest.h>

#include "engine/draft_plan.h"
#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::test {
namespace {

using engine::Generation;
using formats::TokenId;

// Guesses what it is told, right or wrong.
class Scripted final : public engine::Drafter {
 public:
  Scripted(std::vector<TokenId> truth, unsigned seed) : truth_(std::move(truth)), random_(seed) {}
  Result<std::vector<TokenId>> draft(std::span<const TokenId> text, size_t most) override {
    std::vector<TokenId> guess;
    for (size_t i = text.size(); i < truth_.size() && guess.size() < most; ++i)
      guess.push_back(random_() % 4 == 0 ? TokenId{5} : truth_[i]);
    return guess;
  }

 private:
  std::vector<TokenId> truth_;
  std::mt19937 random_;
};

class Speculative : public ::testing::Test {
 protected:
  static constexpr size_t kDrafted = 4;
  static constexpr size_t kTokens = 20;

  Speculative() {
    platform_->put_file("tiny", tiny_llama_file({}));
    platform_->put_file("draft", tiny_llama_file({.layers = 1, .seed = 1}));
    platform_->put_file("foreign", tiny_llama_file({.family = "gpt2"}));
    model_.emplace(engine::ModelFile::open(*platform_, "tiny").value());
    load(kGiB);
  }

  // Within a plan of so many bytes.
  void load(uint64_t budget_bytes) {
    engine_.reset();
    budget_.emplace(memory::Tier::kHost, 2 * kGiB);
    settings_ = {.host_budget_bytes = budget_bytes, .prompt_chunk = 16};
    const auto shape = run_shape(*model_, *ops_, settings_, length_);
    auto plan = plan_run(*model_, *ops_, settings_, shape, machine_with_disk(2e9));
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    least_ = plan->plan.least_budget_bytes;
    engine_ = engine::Engine::load(context(), *model_, settings_, *std::move(plan), {}).value();
  }

  engine::Context context() { return {*platform_, *budget_, *ops_, nullptr}; }

  Generation generate(engine::Drafter* drafter, const engine::SamplingOptions& sampling = {}) {
    engine::GenerateOptions options{.max_tokens = kTokens,
                                    .context = 200,
                                    .sampling = sampling,
                                    .drafter = drafter,
                                    .drafted_tokens = kDrafted,
                                    .ignore_end = true};
    logits_.clear();
    options.on_logits = [&](std::span<const float> rows) -> Result<void> {
      logits_.insert(logits_.end(), rows.begin(), rows.end());
      return {};
    };
    engine_->rewind(0);
    auto made = engine::generate(*engine_, context(), model_->tokenizer, prompt_, options);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return made.value_or(Generation());
  }

  void expect_same(engine::Drafter& drafter, const engine::SamplingOptions& sampling) {
    const Generation plain = generate(nullptr, sampling);
    const std::vector<float> logits = logits_;
    const std::vector<TokenId> tokens = engine_->tokens();
    const Generation drafted = generate(&drafter, sampling);
    EXPECT_EQ(drafted.ids, plain.ids);
    EXPECT_EQ(drafted.text, plain.text);
    EXPECT_EQ(logits_, logits) << "bit for bit, of the same positions";
    EXPECT_EQ(engine_->tokens(), tokens);
    EXPECT_EQ(drafted.decoded, plain.decoded);
    EXPECT_EQ(drafted.passes + drafted.accepted, drafted.decoded);
    EXPECT_LE(drafted.accepted, drafted.drafted);
    passes_ += drafted.passes;
    accepted_ += drafted.accepted;
  }

  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform({});
  ThreadPool pool_{1};
  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops(pool_);
  engine::RunLength length_{
      .prompt_tokens = 24, .answer_tokens = 24, .all_outputs = true, .drafted_tokens = kDrafted};
  engine::Settings settings_;
  std::optional<engine::ModelFile> model_;
  std::optional<memory::Budget> budget_;
  std::unique_ptr<engine::Engine> engine_;
  uint64_t least_ = 0;
  std::vector<TokenId> prompt_ = {1, 70, 104, 111, 112, 35, 120, 70, 104, 111};
  std::vector<float> logits_;
  size_t passes_ = 0;
  size_t accepted_ = 0;
};

std::vector<engine::SamplingOptions> samplings() {
  return {{},
          {.temperature = 0.8, .top_k = 20, .repeat_penalty = 1.2, .seed = 3},
          {.temperature = 1.5, .top_p = 0.9, .presence_penalty = 0.5, .seed = 4},
          {.frequency_penalty = 0.7, .bias = {{70, 3.0}}}};
}

TEST_F(Speculative, TheSameAnswerWhateverIsGuessed) {
  for (const auto& sampling : samplings()) {
    const Generation plain = generate(nullptr, sampling);
    std::vector<TokenId> truth = prompt_;
    truth.insert(truth.end(), plain.ids.begin(), plain.ids.end());
    for (unsigned seed = 1; seed <= 5; ++seed) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed);
      Scripted drafter(truth, seed);
      expect_same(drafter, sampling);
    }
  }
  EXPECT_GT(accepted_, 100u);
}

TEST_F(Speculative, TheSameAnswerWithPromptLookupOverRandomPrompts) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 12; ++round) {
    prompt_ = {1};
    // Few different tokens: their pairs come again.
    while (prompt_.size() < 20) prompt_.push_back(static_cast<TokenId>(70 + random() % 3));
    engine::PromptLookup lookup;
    expect_same(lookup, samplings()[random() % samplings().size()]);
  }
}

TEST_F(Speculative, TheSameAnswerWithADraftModelAlsoWhereWeightsStream) {
  for (const char* path : {"tiny", "draft"}) {
    for (const bool streams : {false, true}) {
      load(kGiB);
      if (streams) load(least_ + 4096);
      ASSERT_EQ(engine_->plan().cycle.empty(), !streams);
      auto plan = engine::plan_draft(context(), path, *model_, settings_, length_);
      ASSERT_TRUE(plan.has_value()) << plan.error().message;
      auto drafter = engine::load_draft(context(), *plan, 0);
      ASSERT_TRUE(drafter.has_value()) << drafter.error().message;
      accepted_ = passes_ = 0;
      for (const auto& sampling : samplings()) expect_same(**drafter, sampling);
      if (path == std::string("tiny")) {
        EXPECT_GT(accepted_, 2 * passes_) << "the model itself guesses right";
      }
    }
  }
}

TEST_F(Speculative, ADraftModelOfAnotherVocabularyIsRefused) {
  const auto plan = engine::plan_draft(context(), "foreign", *model_, settings_, length_);
  ASSERT_FALSE(plan.has_value());
  EXPECT_EQ(plan.error().code, ErrorCode::kUsage);
}

TEST_F(Speculative, ADraftModelsBytesCountInTheBudget) {
  const auto plan = engine::plan_draft(context(), "tiny", *model_, settings_, length_);
  ASSERT_TRUE(plan.has_value());
  engine::Settings beside = settings_;
  beside.beside = plan->charges();
  beside.host_budget_bytes = least_;
  const auto shape = run_shape(*model_, *ops_, settings_, length_);
  const auto refused = plan_run(*model_, *ops_, beside, shape, machine_with_disk(2e9));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_NE(refused.error().message.find("draft model"), std::string::npos)
      << refused.error().message;
}

}  // namespace
}  // namespace spillway::test
