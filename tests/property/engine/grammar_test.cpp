// Answers under a grammar, against std::regex; and the two ways to ask which tokens may come.
#include <gtest/gtest.h>

#include <regex>

#include "engine/grammar_constraint.h"
#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::test {
namespace {

using engine::GrammarConstraint;
using engine::StopReason;
using formats::TokenId;

struct Form {
  const char* grammar;
  const char* regex;  // of bytes
};

constexpr Form kForms[] = {
    {R"(root ::= ("ab" | [c-f]{2,3})+ "é"? ".")", "(?:ab|[c-f]{2,3})+(?:\xC3\xA9)?\\."},
    {R"(root ::= [α-γ]{3} " " [^a-z]{0,3} "z")",
     "(?:\xCE[\xB1-\xB3]){3} (?:[\\x00-\\x60\\x7b-\\x7f]|[\xC2-\xF4][\x80-\xBF]+){0,3}z"},
    {R"(root ::= " "? "the" (" " [a-z]+){1,3})", " ?the(?: [a-z]+){1,3}"},
};

// Asks twice: for one token, and for all.
class Checked final : public engine::TokenConstraint {
 public:
  explicit Checked(GrammarConstraint& inner, size_t vocabulary)
      : inner_(inner), allowed_(vocabulary) {}
  bool allows(TokenId id) override { return inner_.allows(id); }
  void mark_allowed(std::vector<bool>& allowed) override { inner_.mark_allowed(allowed); }
  bool finished() override { return inner_.finished(); }
  Result<void> accept(TokenId id) override {
    std::vector<bool> allowed(allowed_, false);
    inner_.mark_allowed(allowed);
    for (size_t i = 0; i < allowed.size(); ++i)
      EXPECT_EQ(allowed[i], inner_.allows(static_cast<TokenId>(i))) << "token " << i;
    EXPECT_TRUE(allowed[static_cast<size_t>(id)]);
    return inner_.accept(id);
  }

 private:
  GrammarConstraint& inner_;
  size_t allowed_;
};

class GrammarAnswers : public ::testing::TestWithParam<const char*> {};

TEST_P(GrammarAnswers, AreTextsOfTheGrammar) {
  const auto platform = platform::make_simulated_platform({});
  platform->put_file("tiny", tiny_llama_file({.family = GetParam()}));
  ThreadPool pool(1);
  const auto ops = ops::make_cpu_ops(pool);
  auto model = engine::ModelFile::open(*platform, "tiny").value();
  memory::Budget budget(memory::Tier::kHost, kGiB);
  const engine::Context context{*platform, budget, *ops, nullptr};
  const engine::Settings settings{.host_budget_bytes = kGiB};
  auto plan = plan_run(model, *ops, settings, run_shape(model, *ops, settings, {8, 64}),
                       machine_with_disk(2e9));
  const auto loaded = engine::Engine::load(context, model, settings, *std::move(plan), {}).value();
  size_t complete = 0;
  for (const Form& form : kForms) {
    const auto grammar = formats::Grammar::parse_gbnf(form.grammar).value();
    const std::regex regex(form.regex);
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      SCOPED_TRACE(::testing::Message() << form.grammar << ", seed " << seed);
      const std::vector<TokenId> prompt = {1, static_cast<TokenId>(60 + seed)};
      GrammarConstraint constraint(grammar, model.tokenizer);
      // Behind a control token, and behind an ordinary one.
      const auto from = std::span(prompt).first(1 + seed % 2);
      constraint.begin(from.back());
      Checked checked(constraint, model.tokenizer.size());
      const auto made = engine::generate(*loaded, context, model.tokenizer, from,
                                         {.max_tokens = 60,
                                          .context = 70,
                                          .sampling = {.temperature = 1.5, .seed = seed},
                                          .constraint = &checked});
      ASSERT_TRUE(made.has_value()) << made.error().message;
      const bool ended =
          made->reason == StopReason::kComplete || made->reason == StopReason::kEndToken;
      if (!ended) continue;
      ++complete;
      EXPECT_TRUE(std::regex_match(made->text, regex)) << "'" << made->text << "'";
    }
  }
  EXPECT_GE(complete, 15u);
}

INSTANTIATE_TEST_SUITE_P(Families, GrammarAnswers, ::testing::Values("llama", "gpt2"),
                         [](const auto& family) { return std::string(family.param); });

TEST(GrammarConstraint, EndTokensComeOnlyWhereTheTextIsComplete) {
  const auto platform = platform::make_simulated_platform({});
  platform->put_file("tiny", tiny_llama_file({}));
  const auto model = engine::ModelFile::open(*platform, "tiny").value();
  const auto grammar = formats::Grammar::parse_gbnf("root ::= \"ab\"*").value();
  GrammarConstraint constraint(grammar, model.tokenizer);
  constraint.begin(1);
  const TokenId end = *model.tokenizer.eos();
  const auto byte = [&](char c) {
    for (size_t i = 0; i < model.tokenizer.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (model.tokenizer.piece(id) == std::string(1, c)) return id;
    }
    return TokenId{-1};
  };
  EXPECT_TRUE(constraint.allows(end));
  EXPECT_FALSE(constraint.allows(byte('b')));
  ASSERT_TRUE(constraint.accept(byte('a')).has_value());
  EXPECT_FALSE(constraint.allows(end));
  EXPECT_FALSE(constraint.finished());
  EXPECT_FALSE(constraint.accept(byte('a')).has_value());
  ASSERT_TRUE(constraint.accept(byte('b')).has_value());
  EXPECT_TRUE(constraint.allows(end));
}

}  // namespace
}  // namespace spillway::test
