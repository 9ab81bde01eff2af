// Chooses the next token from logits. Deterministic for a seed; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/token_constraint.h"
#include "formats/tokenizer.h"

namespace spillway::engine {

struct SamplingOptions {
  double temperature = 0;  // 0: greedy
  size_t top_k = 0;        // the k most likely stay; 0: all
  double top_p =
      1;  // the fewest whose probabilities reach p stay (Holtzman et al., arXiv 1904.09751)
  double min_p = 0;  // those at least p times as likely as the likeliest stay (arXiv 2407.01082)
  double repeat_penalty =
      1;  // divides positive and multiplies negative logits of recent tokens (arXiv 1909.05858)
  size_t repeat_window = 64;  // how many tokens are recent
  // Taken from the logits of tokens that the answer has already: once each, and once for every
  // time (OpenAI's presence_penalty and frequency_penalty).
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::map<formats::TokenId, double> bias = {};  // added to logits; −∞: never
  uint64_t seed = 0;

  // kUsage: a value outside its range.
  Result<void> check() const;
};

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  // A token of the prompt: counts as recent.
  void accept_prompt(formats::TokenId token);
  // A token of the answer.
  void accept(formats::TokenId token);
  // In the order bias, penalties, top-k, temperature-free top-p and min-p, temperature. Logits that
  // are not numbers are never chosen. What `constraint` forbids is not chosen: it is asked about
  // the token first that is chosen without it, and leaves only the allowed ones where that is
  // forbidden. kUsage: no token is left.
  Result<formats::TokenId> choose(std::span<const float> logits,
                                  TokenConstraint* constraint = nullptr);

 private:
  struct Candidate {
    formats::TokenId token;
    double logit;
    double probability;
  };
  // `allowed`: empty, or by token.
  Result<formats::TokenId> choose_from(std::span<const float> logits,
                                       const std::vector<bool>& allowed);
  bool takes_likeliest() const;  // whatever was said before
  Candidate* find(formats::TokenId token);
  void bias();
  void penalise();
  void keep_top_k();
  void keep_likely();
  formats::TokenId draw();

  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<formats::TokenId> recent_;
  std::map<formats::TokenId, size_t> counts_;  // of the answer's tokens
  std::vector<Candidate> candidates_;
};

}  // namespace spillway::engine
