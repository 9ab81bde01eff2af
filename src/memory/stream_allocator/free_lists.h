// The free blocks of one stream by size, in lists that two levels of bitmaps find in constant time
// (Masmano, Ripoll, Crespo, Real: TLSF, a new dynamic memory allocator for real-time systems,
// 2004): a class per power of two, divided in 16. Guarded by the allocator's mutex.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "memory/stream_allocator/block.h"
#include "spillway/memory/resource.h"

namespace spillway::memory {

class FreeLists {
 public:
  static constexpr size_t kMostBytes = size_t{1} << 48;  // larger requests are refused before

  void insert(Block& block) {
    const Class where = class_of(block.bytes);
    Block*& head = heads_[where.first][where.second];
    block.list_before = nullptr;
    block.list_after = head;
    if (head != nullptr) head->list_before = &block;
    head = &block;
    second_[where.first] |= 1u << where.second;
    first_ |= uint64_t{1} << where.first;
  }

  void remove(Block& block) {
    if (block.list_after != nullptr) block.list_after->list_before = block.list_before;
    if (block.list_before != nullptr) {
      block.list_before->list_after = block.list_after;
      return;
    }
    const Class where = class_of(block.bytes);
    heads_[where.first][where.second] = block.list_after;
    if (block.list_after != nullptr) return;
    second_[where.first] &= ~(1u << where.second);
    if (second_[where.first] == 0) first_ &= ~(uint64_t{1} << where.first);
  }

  // A block of at least that size, or null: what is found in constant time. Blocks of the request's
  // own class may be too small, so only the first few are looked at.
  Block* find(size_t bytes) const {
    constexpr int kLookedAt = 4;
    const Class own = class_of(bytes);
    Block* block = heads_[own.first][own.second];
    for (int i = 0; i < kLookedAt && block != nullptr; ++i, block = block->list_after) {
      if (block->bytes >= bytes) return block;
    }
    return first_above(own);
  }

  // The first that fits and `accepts`, the smallest class first: looks at all that fit.
  template <typename Accepts>
  Block* find_slowly(size_t bytes, Accepts accepts) const {
    for (Class at = class_of(bytes); at.first < kFirst; ++at.first, at.second = 0) {
      for (; at.second < kSecond; ++at.second) {
        for (Block* b = heads_[at.first][at.second]; b != nullptr; b = b->list_after) {
          if (b->bytes >= bytes && accepts(*b)) return b;
        }
      }
    }
    return nullptr;
  }

  // Whether the bitmaps agree with the lists and the lists with the blocks; counts the blocks.
  bool valid(size_t& blocks) const;

 private:
  static constexpr unsigned kSecond = 16;
  static constexpr unsigned kFirst = 38;  // up to kMostBytes in units of 256
  struct Class {
    unsigned first = 0;
    unsigned second = 0;
  };

  // Up to 16 units a class per unit, then 16 classes for each power of two.
  static Class class_of(size_t bytes) {
    const size_t units = bytes / kAlignment;
    if (units < kSecond) return {0, static_cast<unsigned>(units)};
    const auto log = static_cast<unsigned>(std::bit_width(units)) - 1;
    return {log - 3, static_cast<unsigned>(units >> (log - 4)) - kSecond};
  }

  // Any block of the classes above fits.
  Block* first_above(Class own) const {
    unsigned first = own.first;
    uint32_t second = second_[first] & (~uint32_t{0} << (own.second + 1));
    if (second == 0) {
      const uint64_t left = first_ & (~uint64_t{0} << (own.first + 1));
      if (left == 0) return nullptr;
      first = static_cast<unsigned>(std::countr_zero(left));
      second = second_[first];
    }
    return heads_[first][static_cast<unsigned>(std::countr_zero(second))];
  }

  uint64_t first_ = 0;
  std::array<uint32_t, kFirst> second_ = {};
  std::array<std::array<Block*, kSecond>, kFirst> heads_ = {};
};

}  // namespace spillway::memory
