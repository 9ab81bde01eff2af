// What a Resource promises to one thread. The cases are those of RMM's contract suite
// (docs/rmm.md), and content checks.
#include <random>
#include <vector>

#include "base/units.h"
#include "resource_contract.h"

namespace spillway::memory {
namespace {

constexpr size_t kMostBytes = 5 * kMiB;
const Stream kDefault;
const Stream kOther{reinterpret_cast<void*>(uintptr_t{0x5000})};

bool aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0;
}

struct Allocation {
  void* pointer = nullptr;
  size_t bytes = 0;
};

TEST_P(ResourceContract, AllocatesEverySize) {
  for (Stream stream : {kDefault, kOther}) {
    for (size_t bytes : {size_t{1}, size_t{4}, size_t{255}, size_t{256}, size_t{257}, size_t{kKiB},
                         size_t{kMiB}, kMostBytes}) {
      const auto pointer = resource().allocate(stream, bytes);
      ASSERT_TRUE(pointer.has_value()) << pointer.error().message;
      ASSERT_NE(*pointer, nullptr);
      EXPECT_TRUE(aligned(*pointer));
      instance_->fill(*pointer, 0x5A, bytes);
      resource().deallocate(stream, *pointer, bytes);
    }
  }
}

TEST_P(ResourceContract, NoBytesAreANullPointerThatCanBeFreed) {
  for (Stream stream : {kDefault, kOther}) {
    const auto pointer = resource().allocate(stream, 0);
    ASSERT_TRUE(pointer.has_value());
    EXPECT_EQ(*pointer, nullptr);
    resource().deallocate(stream, *pointer, 0);
  }
}

TEST_P(ResourceContract, TakesEveryAlignmentUpTo256) {
  for (size_t alignment = 1; alignment <= kAlignment; alignment *= 2) {
    void* const pointer = resource().allocate(kDefault, 100, alignment).value();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pointer) % alignment, 0u);
    resource().deallocate(kDefault, pointer, 100, alignment);
  }
}

TEST_P(ResourceContract, RefusesOtherAlignments) {
  for (size_t alignment : {size_t{0}, size_t{3}, size_t{24}, size_t{512}, ~size_t{0}}) {
    EXPECT_EQ(resource().allocate(kDefault, 100, alignment).error().code, ErrorCode::kUsage);
  }
}

TEST_P(ResourceContract, TooMuchIsAnError) {
  for (size_t bytes : {kCapacity + 1, size_t{1} << 50, ~size_t{0}, ~size_t{0} - 255}) {
    const auto pointer = resource().allocate(kDefault, bytes);
    ASSERT_FALSE(pointer.has_value());
    EXPECT_EQ(pointer.error().code, ErrorCode::kBudget);
    EXPECT_FALSE(pointer.error().message.empty());
  }
  void* const pointer = resource().allocate(kDefault, 100).value();  // it goes on working
  resource().deallocate(kDefault, pointer, 100);
}

TEST_P(ResourceContract, AllocationsAreDifferent) {
  for (Stream stream : {kDefault, kOther}) {
    void* const first = resource().allocate(stream, 8).value();
    void* const second = resource().allocate(stream, 8).value();
    EXPECT_NE(first, second);
    resource().deallocate(stream, first, 8);
    resource().deallocate(stream, second, 8);
  }
}

TEST_P(ResourceContract, OneHundredRandomAllocations) {
  for (Stream stream : {kDefault, kOther}) {
    std::mt19937_64 random(7);
    std::vector<Allocation> held;
    for (int i = 0; i < 100; ++i) {
      const size_t bytes = 1 + random() % kMostBytes;
      held.push_back({resource().allocate(stream, bytes).value(), bytes});
      EXPECT_TRUE(aligned(held.back().pointer));
    }
    for (const Allocation& one : held) resource().deallocate(stream, one.pointer, one.bytes);
  }
}

TEST_P(ResourceContract, RandomAllocationsMixedWithFrees) {
  for (Stream stream : {kDefault, kOther}) {
    std::mt19937_64 random(11);
    std::vector<Allocation> held;
    for (int allocated = 0; allocated < 100 || !held.empty();) {
      const bool allocate = allocated < 100 && (held.empty() || random() % 100 < 73);
      if (allocate) {
        const size_t bytes = 1 + random() % kMostBytes;
        held.push_back({resource().allocate(stream, bytes).value(), bytes});
        ++allocated;
      } else {
        std::swap(held[random() % held.size()], held.back());
        resource().deallocate(stream, held.back().pointer, held.back().bytes);
        held.pop_back();
      }
    }
  }
}

// Each block is filled with its number: no two overlap, and nobody else writes into them.
TEST_P(ResourceContract, BlocksKeepTheirBytes) {
  std::mt19937_64 random(13);
  std::vector<Allocation> held;
  std::vector<unsigned char> marks;
  const auto free_one = [&](size_t i) {
    ASSERT_TRUE(instance_->holds(held[i].pointer, marks[i], held[i].bytes));
    resource().deallocate(i % 2 == 0 ? kDefault : kOther, held[i].pointer, held[i].bytes);
    held[i] = held.back(), held.pop_back();
    marks[i] = marks.back(), marks.pop_back();
  };
  for (int step = 0; step < 1500; ++step) {
    if (held.size() < 60 && random() % 5 < 3) {
      const size_t bytes = 1 + random() % (random() % 10 == 0 ? 100'000 : 2'000);
      const Stream stream = random() % 2 == 0 ? kDefault : kOther;
      held.push_back({resource().allocate(stream, bytes).value(), bytes});
      marks.push_back(static_cast<unsigned char>(step));
      instance_->fill(held.back().pointer, marks.back(), bytes);
    } else if (!held.empty()) {
      free_one(random() % held.size());
    }
  }
  while (!held.empty()) free_one(held.size() - 1);
}

// Whoever takes all there is finds it again after the free.
TEST_P(ResourceContract, WhatIsFreedCanBeAllocatedAgain) {
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> held;
    const Stream stream = round % 2 == 0 ? kDefault : kOther;
    for (;;) {
      const auto pointer = resource().allocate(stream, 64 * kMiB);
      if (!pointer) break;
      held.push_back(*pointer);
    }
    EXPECT_EQ(held.size(), kCapacity / (64 * kMiB));
    for (void* pointer : held) resource().deallocate(stream, pointer, 64 * kMiB);
  }
  void* const all = resource().allocate(kOther, kCapacity).value();  // and in one piece
  resource().deallocate(kOther, all, kCapacity);
}

}  // namespace
}  // namespace spillway::memory
