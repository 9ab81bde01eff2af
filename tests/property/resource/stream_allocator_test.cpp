// A random program on a StreamAllocator, against a model that knows which streams have touched
// which 256 bytes, and how far each stream has come. No block may be given to a stream, and none
// back to the source, while another stream's work on it runs.
#include "spillway/memory/stream_allocator.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "support/plain_source.h"

namespace spillway::memory {
namespace {

constexpr size_t kGranule = 16 * kKiB;
constexpr size_t kGranules = 24;
constexpr size_t kStreams = 4;

// 256 bytes: the last work of each stream on it, and the block that it belongs to.
struct Unit {
  std::array<uint64_t, kStreams> touched = {};
  uint64_t block = 0;
};

class Model : public test::ScriptedSource {
 public:
  Model() : ScriptedSource(kGranules * kGranule, kGranule) {}

  // What is given back must be at rest.
  size_t shrink(std::byte* start, size_t bytes) override {
    for_units(start, bytes, [&](Unit& unit) {
      EXPECT_EQ(unit.block, 0u) << "an allocated block goes back";
      expect_at_rest(unit, {});
      unit = {};
    });
    return ScriptedSource::shrink(start, bytes);
  }

  void allocated(std::byte* start, size_t bytes, size_t stream, uint64_t block) {
    for_units(start, bytes, [&](Unit& unit) {
      EXPECT_EQ(unit.block, 0u) << "two blocks overlap";
      expect_at_rest(unit, stream);
      unit = {.block = block};
    });
    first_ = first_ == nullptr ? start : std::min(first_, start);
  }

  // The stream is given work on the block.
  void touch(std::byte* start, size_t bytes, size_t stream) {
    const uint64_t piece = work(test::stream_of(stream));
    for_units(start, bytes, [&](Unit& unit) { unit.touched[stream] = piece; });
  }

  void freed(std::byte* start, size_t bytes) {
    for_units(start, bytes, [&](Unit& unit) { unit.block = 0; });
  }

 private:
  template <typename F>
  void for_units(std::byte* start, size_t bytes, F f) {
    for (size_t at = 0; at < bytes; at += kAlignment) f(units_[start + at]);
  }
  // Work of `stream` itself is in order with what comes.
  void expect_at_rest(const Unit& unit, std::optional<size_t> stream) {
    for (size_t other = 0; other < kStreams; ++other) {
      if (other == stream) continue;
      EXPECT_TRUE(has_ended(test::stream_of(other), unit.touched[other]))
          << "stream " << other << " still uses it";
    }
  }
  std::unordered_map<std::byte*, Unit> units_;
  std::byte* first_ = nullptr;
};

struct Live {
  std::byte* start = nullptr;
  size_t bytes = 0;
  std::vector<size_t> users;
};

// The random program. One thread.
class Program {
 public:
  explicit Program(unsigned seed) : random_(seed) {}

  void run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      const size_t what = pick(100);
      if (what < 42) {
        allocate();
      } else if (what < 75 && !live_.empty()) {
        free(pick(live_.size()));
      } else if (what < 85 && !live_.empty()) {
        use(live_[pick(live_.size())]);
      } else if (what < 98) {
        model_.finish(test::stream_of(pick(kStreams)), 1 + pick(4));
      } else {
        EXPECT_TRUE(allocator_->trim().has_value());
      }
      ASSERT_TRUE(allocator_->valid()) << "step " << step;
      ASSERT_EQ(allocator_->statistics().used_bytes, used_bytes_);
      ASSERT_EQ(allocator_->statistics().held_bytes, model_.held_bytes());
    }
  }

  // Everything is freed and at rest: all of it can be had in one piece, and goes back.
  void end() {
    while (!live_.empty()) free(live_.size() - 1);
    const auto all = allocator_->allocate(test::stream_of(0), kGranules * kGranule);
    ASSERT_TRUE(all.has_value()) << all.error().message;
    allocator_->deallocate(test::stream_of(0), *all, kGranules * kGranule);
    EXPECT_EQ(allocator_->trim().value(), kGranules * kGranule);
    EXPECT_EQ(model_.held_bytes(), 0u);
    EXPECT_EQ(model_.marks(), 0u);
  }

  uint64_t failures() const { return failures_; }
  StreamAllocatorStatistics statistics() const { return allocator_->statistics(); }

 private:
  size_t pick(size_t count) { return random_() % count; }

  void allocate() {
    const size_t stream = pick(kStreams);
    const size_t bytes = 1 + pick(pick(4) == 0 ? 3 * kGranule : 3000);
    const auto pointer = allocator_->allocate(test::stream_of(stream), bytes);
    const size_t size = aligned_size(bytes);
    if (!pointer) {
      ++failures_;
      ASSERT_EQ(pointer.error().code, ErrorCode::kBudget);
      // Blocks in use fill no more than the rest of all granules: nothing was lost.
      ASSERT_GT(used_bytes_ + (live_.size() + 1) * (size + 2 * kGranule), kGranules * kGranule);
      return;
    }
    auto* const start = static_cast<std::byte*>(*pointer);
    live_.push_back({.start = start, .bytes = size, .users = {stream}});
    used_bytes_ += size;
    model_.allocated(start, size, stream, ++blocks_);
    model_.touch(start, size, stream);
  }

  void use(Live& block) {
    const size_t stream = pick(kStreams);
    ASSERT_TRUE(allocator_->record_use(block.start, test::stream_of(stream)).has_value());
    block.users.push_back(stream);
    model_.touch(block.start, block.bytes, stream);
  }

  void free(size_t index) {
    std::swap(live_[index], live_.back());
    const Live block = live_.back();
    live_.pop_back();
    const size_t user = block.users[pick(block.users.size())];
    const size_t stream = pick(4) == 0 ? pick(kStreams) : user;
    if (pick(2) == 0) model_.touch(block.start, block.bytes, user);  // right before the free
    model_.touch(block.start, block.bytes, stream);
    model_.freed(block.start, block.bytes);
    used_bytes_ -= block.bytes;
    allocator_->deallocate(test::stream_of(stream), block.start, block.bytes);
  }

  std::mt19937 random_;
  Model model_;
  std::unique_ptr<StreamAllocator> allocator_ =
      StreamAllocator::create(model_, {.segment_bytes = 2 * kGranule});
  std::vector<Live> live_;
  size_t used_bytes_ = 0;
  uint64_t blocks_ = 0;
  uint64_t failures_ = 0;
};

TEST(StreamAllocatorProperty, NoBlockIsReusedWhileAnotherStreamUsesIt) {
  uint64_t failures = 0;
  StreamAllocatorStatistics sums;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Program program(seed);
    program.run(1500);
    program.end();
    if (HasFailure()) return;
    failures += program.failures();
    sums.hits += program.statistics().hits;
    sums.taken_over += program.statistics().taken_over;
    sums.waits += program.statistics().waits;
    sums.events += program.statistics().events;
  }
  // Seeds are fixed; the program must reach every way of getting a block.
  std::printf("hits %lu, taken over %lu, waits %lu, events %lu, refusals %lu\n", sums.hits,
              sums.taken_over, sums.waits, sums.events, failures);
  EXPECT_GT(sums.hits, 0u);
  EXPECT_GT(sums.taken_over, 0u);
  EXPECT_GT(sums.waits, 0u);
  EXPECT_GT(failures, 0u);
}

}  // namespace
}  // namespace spillway::memory
