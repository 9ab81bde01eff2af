// Every call of the source fails in turn, once and for good: no crash, no leak, no lost block.
#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "spillway/memory/stream_allocator.h"
#include "support/plain_source.h"

namespace spillway::memory {
namespace {

using test::stream_of;

constexpr size_t kGranule = 16 * kKiB;

struct Held {
  size_t stream = 0;
  void* pointer = nullptr;
};

// Allocates, shares, frees on other streams, runs out of memory, trims. Returns what is allocated
// at the end. Errors are what is tested: they end nothing.
std::vector<Held> run(StreamAllocator& allocator, test::ScriptedSource& source) {
  std::vector<Held> held;
  for (size_t step = 0; step < 60; ++step) {
    const size_t stream = step % 3;
    const size_t bytes = step % 7 == 0 ? 2 * kGranule : 1000 * (1 + step % 5);
    if (const auto pointer = allocator.allocate(stream_of(stream), bytes)) {
      held.push_back({stream, *pointer});
      source.work(stream_of(stream));
      EXPECT_TRUE(step % 4 != 0 ||
                  allocator.record_use(*pointer, stream_of((stream + 1) % 3)).has_value());
    }
    if (step % 2 == 1 && !held.empty()) {
      const Held one = held[step % held.size()];
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(step % held.size()));
      allocator.deallocate(stream_of(step % 5 == 0 ? 1 : one.stream), one.pointer, 0);
    }
    if (step % 9 == 0) source.finish(stream_of(step % 3), 5);
    if (step % 25 == 24) (void)allocator.trim();
    EXPECT_TRUE(allocator.valid());
  }
  return held;
}

TEST(StreamAllocatorFaults, EveryCallOfTheSource) {
  uint64_t sites = 0;
  for (bool for_good : {false, true}) {
    for (uint64_t call = 1;; ++call) {
      SCOPED_TRACE(testing::Message() << "call " << call << ", for good: " << for_good);
      test::ScriptedSource source(12 * kGranule, kGranule);
      {
        const auto allocator = StreamAllocator::create(source, {.segment_bytes = kGranule});
        source.fail_at(call, for_good);
        const std::vector<Held> held = run(*allocator, source);
        const bool reached = source.calls() >= call;
        if (!reached) break;
        ++sites;
        source.fail_at(0, false);  // the source has recovered: all of it is there again
        for (const Held& one : held) allocator->deallocate(stream_of(one.stream), one.pointer, 0);
        EXPECT_EQ(allocator->statistics().used_bytes, 0u);
        const auto all = allocator->allocate(stream_of(9), 12 * kGranule);
        ASSERT_TRUE(all.has_value()) << all.error().message;
        allocator->deallocate(stream_of(9), *all, 0);
        EXPECT_EQ(allocator->trim().value_or(0), 12 * kGranule);
        EXPECT_EQ(source.marks(), 0u);
      }
      EXPECT_EQ(source.held_bytes(), 0u);
    }
  }
  std::printf("%lu calls of the source failed in turn\n", sites);
  EXPECT_GT(sites, 50u);
}

// A source that never recovers: the end still gives everything back.
TEST(StreamAllocatorFaults, AnAllocatorOverABrokenSourceCanEnd) {
  for (uint64_t call = 1; call < 30; ++call) {
    test::ScriptedSource source(12 * kGranule, kGranule);
    {
      const auto allocator = StreamAllocator::create(source, {.segment_bytes = kGranule});
      source.fail_at(call, true);
      (void)run(*allocator, source);
    }
    EXPECT_EQ(source.held_bytes(), 0u);
    EXPECT_EQ(source.marks(), 0u);
  }
}

}  // namespace
}  // namespace spillway::memory
