// Chooses the next token from logits. Deterministic for a seed; one thread.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"
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
  uint64_t seed = 0;

  // kUsage: a value outside its range.
  Result<void> check() const;
};

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  // A token of the text so far, the prompt's included: counts as recent.
  void accept(formats::TokenId token);
  // In the order penalty, top-k, temperature-free top-p and min-p, temperature. Logits that are not
  // numbers are never chosen.
  formats::TokenId choose(std::span<const float> logits);

 private:
  struct Candidate {
    formats::TokenId token;
    double logit;
    double probability;
  };
  void penalise();
  void keep_top_k();
  void keep_likely();
  formats::TokenId draw();

  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<formats::TokenId> recent_;
  std::vector<Candidate> candidates_;
};

}  // namespace spillway::engine
