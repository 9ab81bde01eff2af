#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "base/check.h"

namespace spillway::engine {
namespace {

Result<void> within(const char* flag, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return fail(ErrorCode::kUsage, "{} is {}; it must lie between {} and {}", flag, value, low, high);
}

// The index of the largest number that is finite, the first of equals; nothing if none is. In
// lanes, so that compilers make vector code of it: a vocabulary is large, and one thread does this.
std::optional<size_t> likeliest(std::span<const float> logits) {
  constexpr size_t kLanes = 32;
  constexpr float kLargest = std::numeric_limits<float>::max();
  std::array<float, kLanes> best;
  best.fill(-std::numeric_limits<float>::infinity());
  const auto take = [&](size_t lane, float x) {
    best[lane] = x <= kLargest && x > best[lane] ? x : best[lane];
  };
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) take(lane, logits[i + lane]);
  }
  for (; i < logits.size(); ++i) take(0, logits[i]);
  const float most = *std::max_element(best.begin(), best.end());
  if (!std::isfinite(most)) return std::nullopt;
  return static_cast<size_t>(std::find(logits.begin(), logits.end(), most) - logits.begin());
}

}  // namespace

Result<void> SamplingOptions::check() const {
  SPILLWAY_TRY(within("--temperature", temperature, 0, 100));
  SPILLWAY_TRY(within("--top-p", top_p, 0, 1));
  SPILLWAY_TRY(within("--min-p", min_p, 0, 1));
  SPILLWAY_TRY(within("--presence-penalty", presence_penalty, -100, 100));
  SPILLWAY_TRY(within("--frequency-penalty", frequency_penalty, -100, 100));
  return within("--repeat-penalty", repeat_penalty, 0.01, 100);
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {}

void Sampler::accept_prompt(formats::TokenId token) {
  recent_.push_back(token);
  if (recent_.size() > options_.repeat_window) recent_.erase(recent_.begin());
}

void Sampler::accept(formats::TokenId token) {
  accept_prompt(token);
  ++counts_[token];
}

Result<formats::TokenId> Sampler::choose(std::span<const float> logits,
                                         TokenConstraint* constraint) {
  auto token = choose_from(logits, {});
  if (constraint == nullptr || (token && constraint->allows(*token))) return token;
  std::vector<bool> allowed(logits.size(), false);
  constraint->mark_allowed(allowed);
  return choose_from(logits, allowed);
}

Result<formats::TokenId> Sampler::choose_from(std::span<const float> logits,
                                              const std::vector<bool>& allowed) {
  if (allowed.empty() && takes_likeliest()) {
    if (const auto token = likeliest(logits)) return static_cast<formats::TokenId>(*token);
  }
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i]) || (!allowed.empty() && !allowed[i])) continue;
    candidates_.push_back({static_cast<formats::TokenId>(i), static_cast<double>(logits[i]), 0});
  }
  bias();
  if (candidates_.empty()) {
    return fail(ErrorCode::kUsage,
                "no token of {} may come next; look at the grammar and at --logit-bias",
                logits.size());
  }
  penalise();
  if (options_.temperature <= 0) {
    // The first of equals, as argmax does.
    return std::max_element(
               candidates_.begin(), candidates_.end(),
               [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; })
        ->token;
  }
  keep_top_k();
  keep_likely();
  return draw();
}

bool Sampler::takes_likeliest() const {
  return options_.temperature <= 0 && options_.bias.empty() && options_.repeat_penalty == 1 &&
         options_.presence_penalty == 0 && options_.frequency_penalty == 0;
}

// Candidates are in the order of their tokens until they are sorted by likelihood.
Sampler::Candidate* Sampler::find(formats::TokenId token) {
  const auto found =
      std::lower_bound(candidates_.begin(), candidates_.end(), token,
                       [](const Candidate& c, formats::TokenId id) { return c.token < id; });
  return found != candidates_.end() && found->token == token ? &*found : nullptr;
}

void Sampler::bias() {
  if (options_.bias.empty()) return;
  for (const auto& [token, bias] : options_.bias) {
    if (Candidate* c = find(token)) c->logit += bias;
  }
  std::erase_if(candidates_, [](const Candidate& c) { return !std::isfinite(c.logit); });
}

void Sampler::penalise() {
  if (options_.repeat_penalty != 1) {
    for (const formats::TokenId token : std::set(recent_.begin(), recent_.end())) {
      Candidate* c = find(token);
      if (c == nullptr) continue;
      c->logit =
          c->logit > 0 ? c->logit / options_.repeat_penalty : c->logit * options_.repeat_penalty;
    }
  }
  if (options_.presence_penalty == 0 && options_.frequency_penalty == 0) return;
  for (const auto& [token, count] : counts_) {
    if (Candidate* c = find(token)) {
      c->logit -=
          options_.presence_penalty + options_.frequency_penalty * static_cast<double>(count);
    }
  }
}

// Sorts too: most likely first, lower ids first among equals.
void Sampler::keep_top_k() {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  if (options_.top_k > 0 && options_.top_k < candidates_.size()) {
    const auto end = candidates_.begin() + static_cast<ptrdiff_t>(options_.top_k);
    std::partial_sort(candidates_.begin(), end, candidates_.end(), likelier);
    candidates_.erase(end, candidates_.end());
  } else {
    std::sort(candidates_.begin(), candidates_.end(), likelier);
  }
}

// top-p and min-p on the probabilities at temperature 1, as llama.cpp's chain does.
void Sampler::keep_likely() {
  double sum = 0;
  for (Candidate& c : candidates_) {
    c.probability = std::exp(c.logit - candidates_.front().logit);
    sum += c.probability;
  }
  double reached = 0;
  size_t kept = 0;
  while (kept < candidates_.size()) {
    const Candidate& c = candidates_[kept];
    if (kept > 0 && c.probability < options_.min_p * candidates_.front().probability) break;
    ++kept;
    reached += c.probability / sum;
    if (reached >= options_.top_p) break;
  }
  candidates_.erase(candidates_.begin() + static_cast<ptrdiff_t>(kept), candidates_.end());
}

formats::TokenId Sampler::draw() {
  double sum = 0;
  for (Candidate& c : candidates_) {
    c.probability = std::exp((c.logit - candidates_.front().logit) / options_.temperature);
    sum += c.probability;
  }
  // 53 random bits as a number in [0, 1); the standard's distributions differ between libraries.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
  for (const Candidate& c : candidates_) {
    left -= c.probability;
    if (left < 0) return c.token;
  }
  return candidates_.back().token;
}

}  // namespace spillway::engine
