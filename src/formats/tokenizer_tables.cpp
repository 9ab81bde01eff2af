// See tokenizer_tables.h.
#include "formats/tokenizer_tables.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/check.h"

namespace spillway::formats {
namespace {

constexpr uint32_t kNoRank = UINT32_MAX;

// At least one slot in four stays free, so that every probe ends soon.
size_t slots_for(size_t entries) {
  return std::bit_ceil(std::max<size_t>(entries * 4 / 3 + 1, 4));
}

size_t hash_pair(TokenId left, TokenId right) {
  uint64_t x = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  x ^= x >> 31;
  x *= 0x9E3779B97F4A7C15;
  return x ^ x >> 32;
}

}  // namespace

TokenTable::TokenTable(size_t tokens) : slots_(slots_for(tokens), kNoToken) {}

size_t TokenTable::slot_of(const Vocabulary& vocabulary, std::string_view text) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>{}(text)&mask;
  while (slots_[slot] != kNoToken && vocabulary.text(slots_[slot]) != text)
    slot = (slot + 1) & mask;
  return slot;
}

void TokenTable::insert(const Vocabulary& vocabulary, TokenId id) {
  slots_[slot_of(vocabulary, vocabulary.text(id))] = id;
}

std::optional<TokenId> TokenTable::find(const Vocabulary& vocabulary, std::string_view text) const {
  const TokenId id = slots_[slot_of(vocabulary, text)];
  if (id == kNoToken) return std::nullopt;
  return id;
}

MergeTable::MergeTable(size_t merges) : slots_(slots_for(merges), kNoRank) {
  merges_.reserve(merges);
}

size_t MergeTable::slot_of(TokenId left, TokenId right) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = hash_pair(left, right) & mask;
  while (slots_[slot] != kNoRank &&
         (merges_[slots_[slot]].left != left || merges_[slots_[slot]].right != right))
    slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::insert(Merge merge) {
  uint32_t& rank = slots_[slot_of(merge.left, merge.right)];
  if (rank != kNoRank) return;
  SPILLWAY_CHECK(merges_.size() < merges_.capacity());
  rank = static_cast<uint32_t>(merges_.size());
  merges_.push_back(merge);
}

std::optional<uint32_t> MergeTable::find(TokenId left, TokenId right) const {
  const uint32_t rank = slots_[slot_of(left, right)];
  if (rank == kNoRank) return std::nullopt;
  return rank;
}

}  // namespace spillway::formats
