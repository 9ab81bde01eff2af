// The two hash tables of a tokenizer, both open addressing over 32-bit indices so that a vocabulary
// of 50,000 tokens costs hundreds of kilobytes instead of many megabytes. Owned by a tokenizer's
// family; immutable once filled, const members are thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "formats/tokenizer_vocabulary.h"

namespace spillway::formats {

// Text to id. Of equal texts the last one counts, as in the dictionaries that models come from.
class TokenTable {
 public:
  TokenTable() = default;
  explicit TokenTable(size_t tokens);

  void insert(const Vocabulary& vocabulary, TokenId id);
  std::optional<TokenId> find(const Vocabulary& vocabulary, std::string_view text) const;
  size_t memory_bytes() const { return slots_.capacity() * sizeof(TokenId); }

 private:
  size_t slot_of(const Vocabulary& vocabulary, std::string_view text) const;
  std::vector<TokenId> slots_;  // a power of two; kNoToken where free
};

// A pair of tokens that becomes one. Lower ranks go first.
struct Merge {
  TokenId left;
  TokenId right;
  TokenId merged;
};

class MergeTable {
 public:
  MergeTable() = default;
  explicit MergeTable(size_t merges);

  // Ranks are given in the order of insertion; a pair that is there already keeps its rank.
  void insert(Merge merge);
  std::optional<uint32_t> find(TokenId left, TokenId right) const;
  const Merge& operator[](uint32_t rank) const { return merges_[rank]; }
  size_t memory_bytes() const {
    return merges_.capacity() * sizeof(Merge) + slots_.capacity() * sizeof(uint32_t);
  }

 private:
  size_t slot_of(TokenId left, TokenId right) const;
  std::vector<Merge> merges_;
  std::vector<uint32_t> slots_;  // a power of two; kNoRank where free
};

}  // namespace spillway::formats
