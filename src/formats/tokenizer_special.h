// Finds special tokens in text: control and user-defined tokens whose text stands for themselves.
// Owned by the Tokenizer; immutable, const members are thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tokenizer_steps.h"
#include "formats/tokenizer_text.h"
#include "formats/tokenizer_vocabulary.h"

namespace spillway::formats {

class SpecialTokens {
 public:
  SpecialTokens() = default;
  // Those that are looked for in text as it is, and those whose rule says `normalized`, by their
  // text as `normalizer` changes it.
  static SpecialTokens of_plain_text(const Vocabulary& vocabulary,
                                     const std::vector<AddedTokenRule>& rules);
  static SpecialTokens of_normalized_text(const Vocabulary& vocabulary,
                                          const std::vector<AddedTokenRule>& rules,
                                          const TextSteps& normalizer);

  struct Found {
    size_t begin, end;  // with the white space that it takes along; text.size() where there is none
    TokenId id;
  };
  // The leftmost one at or after `from`, of those that begin there the longest. User-defined tokens
  // are always found, the others only if `control`.
  Found find(std::string_view text, size_t from, bool control) const;

  // on_text(part, its begin) and on_token(id) for all of `text`, from left to right.
  template <typename OnText, typename OnToken>
  void cut(std::string_view text, bool control, const OnText& on_text,
           const OnToken& on_token) const {
    for (size_t begin = 0; begin < text.size();) {
      const Found found = find(text, begin, control);
      if (found.begin > begin) on_text(text.substr(begin, found.begin - begin), begin);
      if (found.id != kNoToken) on_token(found.id);
      begin = found.end;
    }
  }

  bool empty() const { return tokens_.empty(); }
  size_t memory_bytes() const;

 private:
  struct Token {
    std::string text;
    bool is_control;
    AddedTokenRule rule;
  };
  void add(const Vocabulary& vocabulary, std::string text, AddedTokenRule rule);
  void sort();
  const Token* longest_at(std::string_view text, bool control) const;

  std::vector<Token> tokens_;  // in the order of their texts
  bool begins_[256] = {};      // bytes that one of them begins with
};

}  // namespace spillway::formats
