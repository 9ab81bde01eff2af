// The loop of both kinds of BPE: of all neighbours that may become one, the pair of the lowest rank
// goes first, of equal ranks the leftmost. A heap over a linked list: n symbols take O(n log n).
// One thread; a MergeWork is scratch that is used again for the next word.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/check.h"
#include "formats/tokenizer_vocabulary.h"

namespace spillway::formats {

constexpr uint32_t kNoSymbol = UINT32_MAX;
constexpr uint32_t kNoMergeRank = UINT32_MAX;

struct Symbol {
  uint32_t begin;                // of its bytes in the word
  TokenId id;                    // kNoToken: not a token (yet)
  uint32_t previous, next;       // kNoSymbol at the ends
  uint32_t rank = kNoMergeRank;  // of the pair that it begins, and what that pair becomes
  TokenId merged = kNoToken;
};

struct PairMerge {
  uint32_t rank;  // below kNoMergeRank
  TokenId merged;
};

class MergeWork {
 public:
  // Room for a word of up to `symbols`, of which one of a megabyte needs 32 MB.
  void start_word(size_t symbols) {
    symbols_.clear();
    symbols_.reserve(symbols);
    queue_.clear();
    queue_.reserve(symbols);
  }
  void push_back(size_t begin, TokenId id) {
    const size_t index = symbols_.size();
    SPILLWAY_CHECK(index < kNoSymbol && begin < kNoSymbol);  // 100 GB of symbols are not made
    const auto previous = index == 0 ? kNoSymbol : static_cast<uint32_t>(index - 1);
    if (index != 0) symbols_.back().next = static_cast<uint32_t>(index);
    symbols_.push_back({static_cast<uint32_t>(begin), id, previous, kNoSymbol});
  }

  // `find_pair(left, right, end)`: the merge of two neighbours as std::optional<PairMerge>; `end`
  // is where the right one's bytes end in the word, which is `word_size` bytes long.
  template <typename FindPair>
  void merge_all(size_t word_size, const FindPair& find_pair) {
    for (uint32_t i = 0; i < symbols_.size(); ++i) look_at(i, word_size, find_pair);
    std::make_heap(queue_.begin(), queue_.end(), std::greater<>());
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
      const uint64_t entry = queue_.back();
      queue_.pop_back();
      const auto index = static_cast<uint32_t>(entry);
      // A symbol that was merged since begins another pair, or none: its entry is stale.
      if (symbols_[index].rank != entry >> 32) continue;
      join(index);
      update(index, word_size, find_pair);
      if (symbols_[index].previous != kNoSymbol)
        update(symbols_[index].previous, word_size, find_pair);
    }
  }

  // visit(symbol, end) for what is left, from left to right.
  template <typename Visit>
  void for_each(size_t word_size, const Visit& visit) const {
    for (uint32_t i = symbols_.empty() ? kNoSymbol : 0; i != kNoSymbol; i = symbols_[i].next)
      visit(symbols_[i], end_of(symbols_[i], word_size));
  }

 private:
  size_t end_of(const Symbol& symbol, size_t word_size) const {
    return symbol.next == kNoSymbol ? word_size : symbols_[symbol.next].begin;
  }

  // Notes the pair that begins at `index` in the symbol and, out of order, at the queue's end.
  template <typename FindPair>
  void look_at(uint32_t index, size_t word_size, const FindPair& find_pair) {
    Symbol& left = symbols_[index];
    left.rank = kNoMergeRank;
    if (left.next == kNoSymbol) return;
    const Symbol& right = symbols_[left.next];
    const std::optional<PairMerge> pair = find_pair(left, right, end_of(right, word_size));
    if (!pair) return;
    left.rank = pair->rank;
    left.merged = pair->merged;
    queue_.push_back(uint64_t{pair->rank} << 32 | index);
  }

  template <typename FindPair>
  void update(uint32_t index, size_t word_size, const FindPair& find_pair) {
    const size_t before = queue_.size();
    look_at(index, word_size, find_pair);
    if (queue_.size() != before) std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
  }

  void join(uint32_t index) {
    Symbol& left = symbols_[index];
    Symbol& right = symbols_[left.next];
    left.id = left.merged;
    left.next = right.next;
    right.rank = kNoMergeRank;
    if (left.next != kNoSymbol) symbols_[left.next].previous = index;
  }

  std::vector<Symbol> symbols_;
  std::vector<uint64_t> queue_;  // rank, then symbol
};

}  // namespace spillway::formats
