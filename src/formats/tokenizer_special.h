// Finds special tokens in text: control and user-defined tokens whose text stands for themselves.
// Owned by the Tokenizer; immutable, const members are thread-safe.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "formats/tokenizer_vocabulary.h"

namespace spillway::formats {

class SpecialTokens {
 public:
  // Keeps a reference to `vocabulary`, which must stay where it is.
  explicit SpecialTokens(const Vocabulary& vocabulary);

  struct Found {
    size_t begin;  // text.size() where there is none
    TokenId id;
  };
  // The leftmost one at or after `from`, of those that begin there the longest. User-defined tokens
  // are always found, the others only if `control`.
  Found find(std::string_view text, size_t from, bool control) const;
  size_t memory_bytes() const { return ids_.capacity() * sizeof(TokenId); }

 private:
  std::optional<TokenId> longest_at(std::string_view text, bool control) const;

  const Vocabulary& vocabulary_;
  std::vector<TokenId> ids_;  // in the order of their texts
  bool begins_[256] = {};     // bytes that one of them begins with
};

}  // namespace spillway::formats
