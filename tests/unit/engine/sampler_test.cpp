// The sampler against its definitions, computed the long way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "engine/sampler.h"

namespace spillway::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kDraws = 20000;

formats::TokenId greedy(const std::vector<float>& logits) {
  return Sampler({}).choose(logits).value();
}

TEST(Sampler, GreedyTakesTheFirstOfTheHighest) {
  EXPECT_EQ(greedy({1, 3, 2, 3}), 1);
  EXPECT_EQ(greedy({-5, -4, -4}), 1);
  EXPECT_EQ(greedy({7}), 0);
  EXPECT_EQ(greedy({0, 0, 0}), 0);
}

TEST(Sampler, LogitsThatAreNoNumbersAreNeverChosen) {
  EXPECT_EQ(greedy({kNan, 1, kNan, 2}), 3);
  EXPECT_EQ(greedy({kInfinity, 1, -kInfinity}), 1);
  EXPECT_FALSE(Sampler({}).choose(std::vector<float>{kNan, kNan}).has_value());
  Sampler sampler({.temperature = 5});
  for (int i = 0; i < 200; ++i)
    EXPECT_THAT(sampler.choose(std::vector<float>{kNan, 1, kInfinity, 1, -kInfinity, kNan}).value(),
                testing::AnyOf(1, 3));
}

// Which tokens may come, each with its probability, by the definitions of the options.
std::map<formats::TokenId, double> by_definition(const std::vector<float>& logits,
                                                 const SamplingOptions& options) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (options.top_k > 0 && options.top_k < order.size()) order.resize(options.top_k);
  const auto probabilities = [&](double temperature) {
    std::vector<double> p;
    for (const size_t i : order)
      p.push_back(std::exp(static_cast<double>(logits[i]) / temperature));
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& value : p) value /= sum;
    return p;
  };
  const auto p = probabilities(1);
  size_t kept = 0;
  for (double sum = 0; kept < order.size() && (kept == 0 || sum < options.top_p); ++kept) {
    if (kept > 0 && p[kept] < options.min_p * p[0]) break;
    sum += p[kept];
  }
  order.resize(kept);
  const auto final_p = probabilities(options.temperature);
  std::map<formats::TokenId, double> result;
  for (size_t i = 0; i < order.size(); ++i)
    result[static_cast<formats::TokenId>(order[i])] = final_p[i];
  return result;
}

// Draws often: only tokens of the definition come, each about as often as it should.
void expect_drawn_by_definition(const std::vector<float>& logits, const SamplingOptions& options,
                                size_t tokens) {
  const auto expected = by_definition(logits, options);
  EXPECT_EQ(expected.size(), tokens);
  Sampler sampler(options);
  std::map<formats::TokenId, int> drawn;
  for (int i = 0; i < kDraws; ++i) ++drawn[sampler.choose(logits).value()];
  for (const auto& [token, count] : drawn)
    EXPECT_TRUE(expected.contains(token)) << token << " came " << count << " times";
  for (const auto& [token, p] : expected) {
    const double five_sigma = 5 * std::sqrt(kDraws * p * (1 - p)) + 1;
    EXPECT_NEAR(drawn[token], kDraws * p, five_sigma) << "token " << token;
  }
}

const std::vector<float> kLogits = {0.5F, 2.0F, -1.0F, 1.5F, 2.0F, 0.0F, -3.0F, 1.0F};

TEST(Sampler, TemperatureAlone) {
  expect_drawn_by_definition(kLogits, {.temperature = 1, .seed = 3}, 8);
  expect_drawn_by_definition(kLogits, {.temperature = 0.5, .seed = 4}, 8);
  expect_drawn_by_definition(kLogits, {.temperature = 3, .seed = 5}, 8);
}

TEST(Sampler, TopKKeepsTheKLikeliest) {
  expect_drawn_by_definition(kLogits, {.temperature = 2, .top_k = 3}, 3);
  expect_drawn_by_definition(kLogits, {.temperature = 2, .top_k = 8}, 8);
  expect_drawn_by_definition(kLogits, {.temperature = 2, .top_k = 100}, 8);
  expect_drawn_by_definition(kLogits, {.temperature = 2, .top_k = 1}, 1);
}

TEST(Sampler, TopPKeepsTheFewestThatReachP) {
  // Probabilities: .295 .295 .179 .109 .066 .040 ...
  expect_drawn_by_definition(kLogits, {.temperature = 1, .top_p = 0.29}, 1);
  expect_drawn_by_definition(kLogits, {.temperature = 1, .top_p = 0.5}, 2);
  expect_drawn_by_definition(kLogits, {.temperature = 2, .top_p = 0.75}, 3);
  expect_drawn_by_definition(kLogits, {.temperature = 2, .top_p = 0}, 1);
}

TEST(Sampler, MinPKeepsThoseNearTheLikeliest) {
  expect_drawn_by_definition(kLogits, {.temperature = 1, .min_p = 0.5}, 3);
  expect_drawn_by_definition(kLogits, {.temperature = 1, .min_p = 0.1}, 6);
  expect_drawn_by_definition(kLogits, {.temperature = 1, .min_p = 1}, 2);
}

TEST(Sampler, AllTogether) {
  expect_drawn_by_definition(
      kLogits, {.temperature = 0.8, .top_k = 5, .top_p = 0.9, .min_p = 0.25, .seed = 9}, 4);
}

TEST(Sampler, ATinyTemperatureIsGreedy) {
  Sampler sampler({.temperature = 1e-300});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(sampler.choose(std::vector<float>{1, 3, 2}).value(), 1);
}

formats::TokenId after(const std::vector<formats::TokenId>& text, const SamplingOptions& options,
                       const std::vector<float>& logits) {
  Sampler sampler(options);
  for (const formats::TokenId token : text) sampler.accept(token);
  return sampler.choose(logits).value();
}

TEST(Sampler, ThePenaltyDividesPositiveAndMultipliesNegativeLogits) {
  const SamplingOptions options{.repeat_penalty = 2};
  EXPECT_EQ(after({0}, options, {2.0F, 1.01F}), 1);
  EXPECT_EQ(after({0}, options, {2.0F, 0.99F}), 0);
  EXPECT_EQ(after({0}, options, {-1.0F, -1.99F}), 1);
  EXPECT_EQ(after({0}, options, {-1.0F, -2.01F}), 0);
  EXPECT_EQ(after({0, 0, 0}, options, {2.0F, 0.99F}), 0) << "once, however often it came";
  EXPECT_EQ(after({1}, options, {2.0F, 3.0F}), 0);
  EXPECT_EQ(after({}, options, {2.0F, 1.9F}), 0);
  EXPECT_EQ(after({0}, {.repeat_penalty = 0.5}, {1.0F, 1.5F}), 0);
}

TEST(Sampler, ThePenaltyForgets) {
  SamplingOptions options{.repeat_penalty = 2, .repeat_window = 2};
  EXPECT_EQ(after({0, 3}, options, {2.0F, 1.9F, 0, 0}), 1);
  EXPECT_EQ(after({0, 3, 3}, options, {2.0F, 1.9F, 0, 0}), 0);
  options.repeat_window = 0;
  EXPECT_EQ(after({0, 0}, options, {2.0F, 1.9F}), 0);
}

TEST(Sampler, PresenceAndFrequencyCountTheAnswerOnly) {
  // OpenAI: logit − presence·[count > 0] − frequency·count, of tokens that were sampled.
  const std::vector<float> logits = {2.0F, 1.0F};
  const auto choice = [&](int prompt, int answer, const SamplingOptions& options) {
    Sampler sampler(options);
    for (int i = 0; i < prompt; ++i) sampler.accept_prompt(0);
    for (int i = 0; i < answer; ++i) sampler.accept(0);
    return sampler.choose(logits).value();
  };
  EXPECT_EQ(choice(5, 0, {.presence_penalty = 1.5}), 0);
  EXPECT_EQ(choice(0, 1, {.presence_penalty = 0.9}), 0);
  EXPECT_EQ(choice(0, 9, {.presence_penalty = 0.9}), 0) << "once, however often it came";
  EXPECT_EQ(choice(0, 1, {.presence_penalty = 1.1}), 1);
  EXPECT_EQ(choice(0, 2, {.frequency_penalty = 0.4}), 0);
  EXPECT_EQ(choice(0, 3, {.frequency_penalty = 0.4}), 1);
  EXPECT_EQ(choice(0, 100, {.repeat_window = 1, .frequency_penalty = 0.02}), 1)
      << "never forgotten";
  EXPECT_EQ(choice(0, 1, {.presence_penalty = -5}), 0);
}

TEST(Sampler, BiasIsAddedFirst) {
  EXPECT_EQ(after({}, {.bias = {{1, 1.5}}}, {2.0F, 1.0F}), 1);
  EXPECT_EQ(after({}, {.bias = {{0, -1.5}}}, {2.0F, 1.0F}), 1);
  EXPECT_EQ(after({}, {.bias = {{0, -0.5}, {7, 100}}}, {2.0F, 1.0F}), 0);
  const double never = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(after({}, {.bias = {{0, never}}}, {2.0F, -100.0F}), 1);
  const auto none = Sampler({.bias = {{0, never}}}).choose(std::vector<float>{1.0F});
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kUsage);
}

TEST(Sampler, AConstraintIsAskedAboutTheChosenTokenFirst) {
  struct Even final : TokenConstraint {
    bool allows(formats::TokenId id) override {
      ++asked;
      return id % 2 == 0;
    }
    void mark_allowed(std::vector<bool>& allowed) override {
      ++marked;
      for (size_t i = 0; i < allowed.size(); i += 2) allowed[i] = true;
    }
    Result<void> accept(formats::TokenId) override { return {}; }
    bool finished() override { return false; }
    int asked = 0;
    int marked = 0;
  } even;
  Sampler sampler({});
  EXPECT_EQ(sampler.choose(std::vector<float>{1, 2, 3, 2}, &even).value(), 2);
  EXPECT_EQ(even.marked, 0);
  EXPECT_EQ(sampler.choose(std::vector<float>{1, 9, 3, 2}, &even).value(), 2);
  EXPECT_EQ(even.marked, 1);
  EXPECT_FALSE(sampler.choose(std::vector<float>{kNan, 9}, &even).has_value());
}

TEST(Sampler, ASeedGivesTheSameTokens) {
  const auto tokens = [](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<formats::TokenId> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(sampler.choose(kLogits).value());
    return ids;
  };
  EXPECT_EQ(tokens(7), tokens(7));
  EXPECT_NE(tokens(7), tokens(8));
}

TEST(SamplingOptions, OutsideTheirRangesAreRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refused = [](const SamplingOptions& options) {
    const auto result = options.check();
    return !result && result.error().code == ErrorCode::kUsage;
  };
  for (const double value : {-0.1, 100.1, nan}) EXPECT_TRUE(refused({.temperature = value}));
  for (const double value : {-0.1, 1.1, nan}) {
    EXPECT_TRUE(refused({.top_p = value}));
    EXPECT_TRUE(refused({.min_p = value}));
  }
  for (const double value : {0.0, -1.0, 101.0, nan})
    EXPECT_TRUE(refused({.repeat_penalty = value}));
  EXPECT_TRUE(SamplingOptions{}.check().has_value());
  EXPECT_TRUE((SamplingOptions{.temperature = 100, .top_p = 0, .min_p = 1, .repeat_penalty = 0.01})
                  .check()
                  .has_value());
}

}  // namespace
}  // namespace spillway::engine
