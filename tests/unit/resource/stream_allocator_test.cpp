#include "spillway/memory/stream_allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/plain_source.h"

namespace spillway::memory {
namespace {

using test::stream_of;
using testing::HasSubstr;

constexpr size_t kGranule = 64 * kKiB;

class StreamAllocatorTest : public testing::Test {
 protected:
  void* allocate(Stream stream, size_t bytes) {
    const auto pointer = allocator_->allocate(stream, bytes);
    EXPECT_TRUE(pointer.has_value()) << pointer.error().message;
    EXPECT_TRUE(allocator_->valid());
    source_.work(stream);
    return pointer.value_or(nullptr);
  }
  void free(Stream stream, void* pointer) {
    allocator_->deallocate(stream, pointer, 0);
    EXPECT_TRUE(allocator_->valid());
  }

  const Stream a_ = stream_of(1);
  const Stream b_ = stream_of(2);
  test::ScriptedSource source_{16 * kGranule, kGranule};
  std::unique_ptr<StreamAllocator> allocator_ =
      StreamAllocator::create(source_, {.segment_bytes = 2 * kGranule});
};

TEST_F(StreamAllocatorTest, AHitMakesNoCallOfTheSource) {
  void* const first = allocate(a_, 1000);
  const uint64_t calls = source_.calls();
  free(a_, first);
  EXPECT_EQ(allocate(a_, 1000), first);  // at once, though the stream's work has not ended
  free(a_, first);
  EXPECT_EQ(source_.calls(), calls);
  const auto statistics = allocator_->statistics();
  EXPECT_EQ(statistics.misses, 1u);
  EXPECT_EQ(statistics.hits, 1u);
  EXPECT_EQ(statistics.events, 0u);
}

TEST_F(StreamAllocatorTest, AccountsAreExactTo256Bytes) {
  void* const pointer = allocate(a_, 65'537);  // a power of two would be 131072
  EXPECT_EQ(allocator_->statistics().used_bytes, 65'792u);
  EXPECT_EQ(allocator_->statistics().held_bytes, 2 * kGranule);
  EXPECT_EQ(allocator_->statistics().cached_bytes, 2 * kGranule - 65'792);
  free(a_, pointer);
  EXPECT_EQ(allocator_->statistics().used_bytes, 0u);
  EXPECT_EQ(allocator_->statistics().peak_used_bytes, 65'792u);
}

TEST_F(StreamAllocatorTest, AnotherStreamHasToWaitForTheEvent) {
  void* const first = allocate(a_, 2 * kGranule);  // the whole segment
  free(a_, first);
  void* const second = allocate(b_, 2 * kGranule);  // a's work is running: the source gives more
  EXPECT_NE(second, first);
  EXPECT_EQ(allocator_->statistics().events, 1u);  // of a, since b could have used it
  source_.finish(a_);
  EXPECT_EQ(allocate(b_, 2 * kGranule), first);  // polled
  EXPECT_EQ(allocator_->statistics().taken_over, 1u);
  EXPECT_EQ(source_.waits(), 0u);
}

// The event is recorded after the free, so work that the stream was given in between holds the
// block, too: later than needed, never too early.
TEST_F(StreamAllocatorTest, AnEventThatWasRecordedBeforeTheFreeDoesNotCount) {
  void* const early = allocate(a_, 2 * kGranule);
  void* const between = allocate(a_, 2 * kGranule);  // or they merge, and the later stamp counts
  void* const late = allocate(a_, 2 * kGranule);
  free(a_, early);
  void* const other = allocate(b_, 2 * kGranule);  // records an event of a
  source_.work(a_);
  free(a_, late);
  source_.finish(a_, 3);  // the event of the first free, not what came later
  EXPECT_EQ(allocate(b_, 2 * kGranule), early);
  EXPECT_NE(allocate(b_, 2 * kGranule), late);
  free(a_, between);
  free(b_, other);
}

TEST_F(StreamAllocatorTest, UsesOfOtherStreamsAreWaitedFor) {
  void* const shared = allocate(a_, 2 * kGranule);
  ASSERT_TRUE(allocator_->record_use(shared, b_).has_value());
  source_.work(b_);
  free(a_, shared);
  EXPECT_NE(allocate(a_, 2 * kGranule), shared);  // b uses it
  source_.finish(b_);
  EXPECT_EQ(allocate(a_, 2 * kGranule), shared);  // a's own work is in order
  EXPECT_EQ(source_.waits(), 0u);
}

TEST_F(StreamAllocatorTest, AFreeOnAnotherStreamWaitsForTheOneThatAllocated) {
  void* const moved = allocate(a_, 2 * kGranule);
  free(b_, moved);
  EXPECT_NE(allocate(b_, 2 * kGranule), moved);
  source_.finish(a_);
  EXPECT_EQ(allocate(b_, 2 * kGranule), moved);
}

TEST_F(StreamAllocatorTest, RecordUseOfNothingIsAnError) {
  EXPECT_EQ(allocator_->record_use(this, a_).error().code, ErrorCode::kUsage);
}

TEST_F(StreamAllocatorTest, NeighboursMerge) {
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(allocate(a_, kGranule / 4));
  for (int i : {1, 3, 5, 7, 0, 2, 6, 4}) free(a_, blocks[static_cast<size_t>(i)]);
  const uint64_t misses = allocator_->statistics().misses;
  EXPECT_EQ(allocate(a_, 2 * kGranule), blocks[0]);
  EXPECT_EQ(allocator_->statistics().misses, misses);
}

TEST_F(StreamAllocatorTest, SegmentsThatMeetMerge) {
  std::vector<void*> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(allocate(a_, 2 * kGranule));
  for (void* block : blocks) free(a_, block);
  EXPECT_EQ(allocate(a_, 8 * kGranule), blocks[0]);
}

TEST_F(StreamAllocatorTest, WaitsRatherThanFails) {
  void* const all = allocate(a_, 16 * kGranule);
  free(a_, all);
  EXPECT_EQ(allocate(b_, 16 * kGranule), all);
  EXPECT_GE(source_.waits(), 1u);
}

TEST_F(StreamAllocatorTest, PiecesOfTwoStreamsBecomeOneBlockWhenBothHaveEnded) {
  std::vector<void*> blocks;
  for (size_t i = 0; i < 8; ++i) blocks.push_back(allocate(i % 2 == 0 ? a_ : b_, 2 * kGranule));
  for (size_t i = 0; i < 8; ++i) free(i % 2 == 0 ? a_ : b_, blocks[i]);
  EXPECT_EQ(allocate(stream_of(3), 16 * kGranule), blocks[0]);
}

TEST_F(StreamAllocatorTest, GivesIdleGranulesBackToHaveThemInOnePiece) {
  void* const left = allocate(a_, 6 * kGranule);
  void* const middle = allocate(a_, kGranule);
  free(a_, left);
  void* const rest = allocate(b_, 8 * kGranule);  // 9 granules were not held yet
  free(b_, rest);
  void* const large = allocate(a_, 9 * kGranule);
  free(a_, large);
  free(a_, middle);
}

TEST_F(StreamAllocatorTest, RefusalSaysWhoHoldsWhat) {
  void* const one = allocate(a_, 10 * kGranule);
  void* const other = allocate(b_, 2 * kGranule);
  const auto refused = allocator_->allocate(a_, 5 * kGranule);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message, HasSubstr("320.0 KiB for stream 0x100 are not to be had"));
  EXPECT_THAT(refused.error().message, HasSubstr("the plain source has no 320.0 KiB left"));
  EXPECT_THAT(refused.error().message, HasSubstr("stream 0x100: 640.0 KiB in use"));
  EXPECT_THAT(refused.error().message, HasSubstr("stream 0x200: 128.0 KiB in use"));
  EXPECT_EQ(allocator_->statistics().failures, 1u);
  free(a_, one);
  free(b_, other);
}

TEST_F(StreamAllocatorTest, TrimGivesBackWholeGranulesThatAreFree) {
  void* const first = allocate(a_, 3 * kGranule);
  void* const last = allocate(a_, 100);
  free(a_, first);
  EXPECT_EQ(allocator_->trim().value(), 3 * kGranule + kGranule);  // and the rest of a segment
  EXPECT_TRUE(allocator_->valid());
  EXPECT_EQ(source_.held_bytes(), kGranule);
  free(a_, last);
  EXPECT_EQ(allocator_->trim().value(), kGranule);
  EXPECT_EQ(source_.held_bytes(), 0u);
  EXPECT_EQ(source_.marks(), 0u);
  EXPECT_EQ(allocator_->trim().value(), 0u);
}

TEST_F(StreamAllocatorTest, UnknownAndSecondFreesAreIgnored) {
  void* const pointer = allocate(a_, 100);
  free(a_, this);
  free(a_, pointer);
  free(a_, pointer);
  EXPECT_EQ(allocator_->statistics().unknown_frees, 2u);
  EXPECT_EQ(allocator_->statistics().used_bytes, 0u);
}

TEST_F(StreamAllocatorTest, ThePerThreadDefaultStreamHasNoName) {
  const Stream per_thread{reinterpret_cast<void*>(uintptr_t{2})};
  EXPECT_EQ(allocator_->allocate(per_thread, 100).error().code, ErrorCode::kUsage);
  void* const pointer = allocate(a_, 100);
  EXPECT_EQ(allocator_->record_use(pointer, per_thread).error().code, ErrorCode::kUsage);
  free(per_thread, pointer);  // waits for it
  EXPECT_EQ(source_.waits(), 1u);
  EXPECT_EQ(allocate(a_, 100), pointer);
}

// Together the threads never need more than there is: nobody may be refused.
TEST(StreamAllocatorThreads, NobodyFailsWhileAnotherGivesBack) {
  constexpr size_t kThreads = 4;
  test::PlainSource source(2 * kThreads * kGranule, kGranule);
  const auto allocator = StreamAllocator::create(source, {.segment_bytes = kGranule});
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&allocator, i] {
      std::vector<void*> held;
      for (size_t step = 0; step < 300; ++step) {
        const auto pointer = allocator->allocate(stream_of(i), kGranule);
        ASSERT_TRUE(pointer.has_value()) << pointer.error().message;
        held.push_back(*pointer);
        if (held.size() < 2) continue;
        allocator->deallocate(stream_of(step % 7 == 0 ? step % 5 : i), held.front(), kGranule);
        held.erase(held.begin());
        if (step % 40 == 0) (void)allocator->trim();
      }
      allocator->deallocate(stream_of(i), held.front(), kGranule);
    });
  }
  threads.clear();
  EXPECT_EQ(allocator->statistics().failures, 0u);
  EXPECT_TRUE(allocator->trim().has_value());
  EXPECT_EQ(source.held_bytes(), 0u);
}

TEST_F(StreamAllocatorTest, TheEndGivesAllBack) {
  (void)allocate(a_, 100);
  void* const shared = allocate(b_, 5 * kGranule);
  free(a_, shared);
  (void)allocator_->allocate(a_, 3 * kGranule);
  allocator_.reset();
  EXPECT_EQ(source_.held_bytes(), 0u);
  EXPECT_EQ(source_.marks(), 0u);
}

// Freed on the per-thread stream while its work runs, and the driver cannot be asked.
TEST(StreamAllocatorFailures, APerThreadFreeThatCannotBeWaitedForIsNotUsedAgain) {
  test::ScriptedSource source(16 * 64 * kKiB, 64 * kKiB);
  const auto allocator = StreamAllocator::create(source, {.segment_bytes = 64 * kKiB});
  const Stream own = {reinterpret_cast<void*>(uintptr_t{0x1000})};
  const Stream per_thread = {reinterpret_cast<void*>(uintptr_t{2})};
  void* const block = allocator->allocate(own, 64 * kKiB).value();
  const uint64_t piece = source.work(per_thread);
  source.fail_at(1, false);
  allocator->deallocate(per_thread, block, 64 * kKiB);
  void* const next = allocator->allocate(own, 64 * kKiB).value();
  EXPECT_TRUE(next != block || source.has_ended(per_thread, piece));
}

}  // namespace
}  // namespace spillway::memory
