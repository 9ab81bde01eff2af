#include "engine/drafter.h"

#include <algorithm>
#include <cmath>

#include "engine/prefill.h"

namespace spillway::engine {
namespace {

using formats::TokenId;

constexpr size_t kLongestGram = 3;
constexpr size_t kShortestGram = 2;

// Where the last `size` tokens of `text` stood before, the latest such place: the index behind it;
// text.size() where there is none.
size_t behind_earlier(std::span<const TokenId> text, size_t size) {
  const auto gram = text.last(size);
  const auto before = text.first(text.size() - 1);
  const auto found = std::find_end(before.begin(), before.end(), gram.begin(), gram.end());
  return found == before.end() ? text.size() : static_cast<size_t>(found - before.begin()) + size;
}

// softmax(logits)[token]
double probability(std::span<const float> logits, size_t token) {
  double sum = 0;
  for (const float logit : logits) {
    if (std::isfinite(logit)) sum += std::exp(static_cast<double>(logit - logits[token]));
  }
  return 1 / sum;
}

}  // namespace

Result<std::vector<TokenId>> PromptLookup::draft(std::span<const TokenId> text, size_t most) {
  for (size_t size = kLongestGram; size >= kShortestGram; --size) {
    if (text.size() <= size) continue;
    const auto rest = text.subspan(behind_earlier(text, size));
    if (rest.empty()) continue;
    const auto guess = rest.first(std::min(most, rest.size()));
    return std::vector<TokenId>(guess.begin(), guess.end());
  }
  return std::vector<TokenId>();
}

DraftModel::DraftModel(std::unique_ptr<Engine> engine, size_t vocabulary, double least_probability)
    : engine_(std::move(engine)), vocabulary_(vocabulary), least_probability_(least_probability) {}

Result<std::vector<TokenId>> DraftModel::draft(std::span<const TokenId> text, size_t most) {
  std::vector<TokenId> guess;
  if (most == 0 || text.size() > engine_->shape().positions) return guess;
  SPILLWAY_ASSIGN(const Prefilled read, prefill(*engine_, text));
  std::span<const float> logits = read.logits;
  while (true) {
    const auto own = logits.first(vocabulary_);
    const auto best = static_cast<size_t>(std::max_element(own.begin(), own.end()) - own.begin());
    // Not a number is not sure either.
    if (!(probability(own, best) >= least_probability_)) return guess;
    guess.push_back(static_cast<TokenId>(best));
    if (guess.size() == most || engine_->position() == engine_->shape().positions) return guess;
    SPILLWAY_ASSIGN(logits, engine_->evaluate(std::span(&guess.back(), 1), 1));
  }
}

}  // namespace spillway::engine
