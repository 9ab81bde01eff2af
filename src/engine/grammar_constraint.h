// A grammar over tokens: an answer whose text is one of the grammar's. Tokens may end within a
// character, and begin anywhere; end tokens come where the text is complete. One thread.
#pragma once

#include <string>
#include <vector>

#include "engine/token_constraint.h"
#include "formats/grammar.h"
#include "formats/grammar_matcher.h"
#include "formats/tokenizer.h"

namespace spillway::engine {

class GrammarConstraint final : public TokenConstraint {
 public:
  // Both outlive the object.
  GrammarConstraint(const formats::Grammar& grammar, const formats::Tokenizer& tokenizer);

  // An answer begins behind `before`, the prompt's last token.
  void begin(formats::TokenId before);

  bool allows(formats::TokenId id) override;
  void mark_allowed(std::vector<bool>& allowed) override;
  Result<void> accept(formats::TokenId id) override;
  bool finished() override { return matcher_.finished(state_); }

  // What one for this vocabulary holds, at most and about; the grammar's own bytes not counted.
  static uint64_t memory_bytes(const formats::Tokenizer& tokenizer);

 private:
  using State = formats::GrammarMatcher::State;

  bool matches(std::string_view text);
  void mark_by_texts(std::vector<bool>& allowed);

  const formats::Tokenizer& tokenizer_;
  formats::GrammarMatcher matcher_;
  State state_;
  formats::TokenId before_ = 0;
  bool first_ = true;  // nothing of the answer is there yet
  // The tokens that have a text, in the order of their texts: neighbours begin alike.
  std::vector<formats::TokenId> order_;
  std::vector<std::string> texts_;  // in the same order
};

}  // namespace spillway::engine
