// From the address of an allocated block to the block: a hash table with open addressing, at most
// half full. A side array with an entry per 256 bytes is faster by about 10 ns for a pair of calls
// (find_block in bench/allocator_bench.cpp), but takes up to 1/32 of the memory that it describes,
// which can be 2.5 GiB of host memory for one GPU. Guarded by the allocator's mutex.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory/stream_allocator/block.h"

namespace spillway::memory {

class BlockTable {
 public:
  size_t size() const { return size_; }

  void insert(Block& block) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    place({block.start, &block});
    ++size_;
  }

  Block* find(const void* start) const {
    const size_t slot = slot_of(start);
    return slots_[slot].block;
  }

  // The block that starts there, which is then no longer in the table; null: none does.
  Block* take(const void* start) {
    size_t hole = slot_of(start);
    Block* const block = slots_[hole].block;
    if (block == nullptr) return nullptr;
    --size_;
    // Closes the gap: what lies behind it moves forward, if its own place is not past the gap.
    for (size_t i = next(hole); slots_[i].block != nullptr; i = next(i)) {
      const size_t home = home_of(slots_[i].start);
      if (((i - home) & mask()) < ((i - hole) & mask())) continue;
      slots_[hole] = slots_[i];
      hole = i;
    }
    slots_[hole] = {};
    return block;
  }

 private:
  struct Slot {
    const void* start = nullptr;
    Block* block = nullptr;
  };
  static constexpr size_t kFirstSlots = 1024;

  size_t mask() const { return slots_.size() - 1; }
  size_t next(size_t i) const { return (i + 1) & mask(); }
  // Fibonacci hashing: the upper bits of a product depend on all bits of the address.
  size_t home_of(const void* start) const {
    const auto unit = reinterpret_cast<uintptr_t>(start) >> 8;
    return static_cast<size_t>((unit * 0x9E3779B97F4A7C15u) >> shift_);
  }
  // Where it is, or where it would be.
  size_t slot_of(const void* start) const {
    size_t i = home_of(start);
    while (slots_[i].block != nullptr && slots_[i].start != start) i = next(i);
    return i;
  }
  void place(const Slot& slot) { slots_[slot_of(slot.start)] = slot; }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    --shift_;
    for (const Slot& slot : old) {
      if (slot.block != nullptr) place(slot);
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(kFirstSlots);
  int shift_ = 64 - std::countr_zero(kFirstSlots);
  size_t size_ = 0;
};

}  // namespace spillway::memory
