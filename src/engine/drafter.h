// Guesses how a text goes on, so that one pass of the model can check several tokens: speculative
// decoding (Leviathan et al., arXiv 2211.17192). The answer does not depend on the guesses: a token
// is kept only where the model, sampled as always, chooses it itself. One thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace spillway::engine {

class Drafter {
 public:
  virtual ~Drafter() = default;
  // At most `most` tokens that may follow `text` (not empty). Errors are the draft model's.
  virtual Result<std::vector<formats::TokenId>> draft(std::span<const formats::TokenId> text,
                                                      size_t most) = 0;
};

// Prompt lookup (Saxena, 2023): what followed the last place where the text's end, 3 tokens long or
// else 2, stood before.
class PromptLookup final : public Drafter {
 public:
  Result<std::vector<formats::TokenId>> draft(std::span<const formats::TokenId> text,
                                              size_t most) override;
};

// A smaller model with the same vocabulary: its likeliest tokens, as long as it is sure of them.
class DraftModel final : public Drafter {
 public:
  // `vocabulary` tokens are the tokenizer's; a guess less likely than `least_probability` is the
  // end. The engine has room for as many positions as the text will have.
  DraftModel(std::unique_ptr<Engine> engine, size_t vocabulary, double least_probability);
  Result<std::vector<formats::TokenId>> draft(std::span<const formats::TokenId> text,
                                              size_t most) override;
  const Engine& engine() const { return *engine_; }

 private:
  std::unique_ptr<Engine> engine_;
  size_t vocabulary_;
  double least_probability_;
};

}  // namespace spillway::engine
