#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "base/units.h"
#include "environment.h"

namespace spillway::platform {
namespace {

// Slots at addresses that any file accepts.
class Slots {
 public:
  Slots(Platform& platform, size_t slots, size_t slot_bytes)
      : slot_bytes_(slot_bytes), range_(platform.reserve(slots * slot_bytes).value()) {
    EXPECT_TRUE(range_->commit(0, range_->bytes().size()).has_value());
  }
  std::span<std::byte> operator[](size_t slot) const {
    return range_->bytes().subspan(slot * slot_bytes_, slot_bytes_);
  }

 private:
  size_t slot_bytes_;
  std::unique_ptr<AddressRange> range_;
};

class PlatformReadQueue : public PlatformContract {
 protected:
  static constexpr size_t kSlotBytes = 64 * kKiB;  // a multiple of any alignment

  std::unique_ptr<ReadQueue> queue_of(const File& file, unsigned depth) {
    auto queue = file.open_queue(depth);
    EXPECT_TRUE(queue.has_value()) << queue.error().message;
    return std::move(queue).value();
  }

  static void expect_content(std::span<const std::byte> bytes, uint64_t offset, size_t size,
                             const std::vector<std::byte>& content) {
    ASSERT_EQ(size, std::min<size_t>(bytes.size(), content.size() - offset));
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + std::ptrdiff_t(size),
                           content.begin() + std::ptrdiff_t(offset)))
        << "at offset " << offset;
  }
};

TEST_P(PlatformReadQueue, ReadsAFileThroughAFewSlots) {
  constexpr unsigned kDepth = 4;
  const auto content = pattern(20 * kSlotBytes + 12345);
  const auto file = open(put_file("file", content));
  const Slots slots(platform(), kDepth, kSlotBytes);
  const auto queue = queue_of(*file, kDepth);
  EXPECT_EQ(queue->depth(), kDepth);
  EXPECT_EQ(queue->in_flight(), 0u);
  const size_t reads = content.size() / kSlotBytes + 1;
  std::map<uint64_t, size_t> slot_of;  // by id, which is the number of the block
  size_t next = 0;
  const auto submit = [&](size_t slot) {
    if (next == reads) return;
    const auto done = queue->submit({next * kSlotBytes, slots[slot], next});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    slot_of[next++] = slot;
  };
  for (size_t slot = 0; slot < kDepth; ++slot) submit(slot);
  EXPECT_EQ(queue->in_flight(), kDepth);
  for (size_t left = reads; left > 0; --left) {
    const auto completion = queue->wait();
    ASSERT_TRUE(completion.has_value()) << completion.error().message;
    ASSERT_TRUE(completion->bytes.has_value()) << completion->bytes.error().message;
    ASSERT_EQ(slot_of.count(completion->id), 1u);
    const size_t slot = slot_of[completion->id];
    slot_of.erase(completion->id);
    expect_content(slots[slot], completion->id * kSlotBytes, *completion->bytes, content);
    submit(slot);
  }
  EXPECT_EQ(queue->in_flight(), 0u);
}

TEST_P(PlatformReadQueue, GivesEachReadOnceToWhoPollsAndWaits) {
  constexpr unsigned kReads = 5;
  const auto content = pattern(kReads * kSlotBytes);
  const auto file = open(put_file("file", content));
  const Slots slots(platform(), kReads, kSlotBytes);
  const auto queue = queue_of(*file, kReads);
  EXPECT_FALSE(queue->poll().value().has_value());  // nothing is on its way
  for (unsigned i = 0; i < kReads; ++i)
    ASSERT_TRUE(queue->submit({i * kSlotBytes, slots[i], i}).has_value());
  std::set<uint64_t> seen;
  const auto check = [&](const ReadCompletion& completion) {
    ASSERT_TRUE(completion.bytes.has_value()) << completion.bytes.error().message;
    EXPECT_TRUE(seen.insert(completion.id).second) << completion.id;
    expect_content(slots[completion.id], completion.id * kSlotBytes, *completion.bytes, content);
  };
  while (queue->in_flight() > 0) {
    check(queue->wait().value());
    for (auto more = queue->poll().value(); more; more = queue->poll().value()) check(*more);
    EXPECT_EQ(queue->in_flight(), kReads - seen.size());
  }
  EXPECT_EQ(seen.size(), kReads);
}

TEST_P(PlatformReadQueue, ReadsAlignedRangesOfAnySize) {
  const auto content = pattern(700001);
  const auto file = open(put_file("file", content));
  const size_t unit = file->info().offset_alignment;
  const size_t step = file->info().memory_alignment;
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const Slots slots(platform(), 1, 256 * kKiB);
  const auto queue = queue_of(*file, 1);
  for (int round = 0; round < 200; ++round) {
    const uint64_t offset = round_down(random() % content.size(), unit);
    const size_t size = round_up(1 + random() % (128 * kKiB), unit);
    const auto target = slots[0].subspan(round_down(random() % (64 * kKiB), step), size);
    ASSERT_TRUE(queue->submit({offset, target, 7}).has_value());
    const auto completion = queue->wait();
    ASSERT_TRUE(completion.has_value() && completion->bytes.has_value());
    EXPECT_EQ(completion->id, 7u);
    expect_content(target, offset, *completion->bytes, content);
  }
}

TEST_P(PlatformReadQueue, ReadsNothingPastTheEnd) {
  const auto file = file_of(4096);
  const Slots slots(platform(), 1, kSlotBytes);
  const auto queue = queue_of(*file, 2);
  for (uint64_t offset : {uint64_t{4096}, uint64_t{1} << 20, uint64_t{1} << 40}) {
    ASSERT_TRUE(queue->submit({offset, slots[0], 1}).has_value());
    const auto completion = queue->wait();
    ASSERT_TRUE(completion.has_value());
    ASSERT_TRUE(completion->bytes.has_value()) << completion->bytes.error().message;
    EXPECT_EQ(*completion->bytes, 0u);
  }
}

TEST_P(PlatformReadQueue, SeesATruncation) {
  const auto file = file_of(10 * kSlotBytes);
  const auto shorter = pattern(kSlotBytes + 1000);
  put_file("file", shorter);
  const Slots slots(platform(), 3, kSlotBytes);
  const auto queue = queue_of(*file, 3);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(queue->submit({i * kSlotBytes, slots[i], i}).has_value());
  }
  const std::vector<size_t> expected = {kSlotBytes, 1000, 0};
  for (size_t i = 0; i < 3; ++i) {
    const auto completion = queue->wait();
    ASSERT_TRUE(completion.has_value());
    ASSERT_TRUE(completion->bytes.has_value()) << completion->bytes.error().message;
    EXPECT_EQ(*completion->bytes, expected[completion->id]);
  }
}

TEST_P(PlatformReadQueue, WaitsForReadsInFlightBeforeItGoes) {
  constexpr unsigned kDepth = 16;
  const auto content = pattern(kDepth * kSlotBytes);
  const auto file = open(put_file("file", content));
  const Slots slots(platform(), kDepth, kSlotBytes);
  const Slots others(platform(), kDepth, kSlotBytes);
  const auto submit_all = [&](ReadQueue& queue, const Slots& targets) {
    for (unsigned i = 0; i < kDepth; ++i) {
      ASSERT_TRUE(queue.submit({i * kSlotBytes, targets[i], i}).has_value());
    }
  };
  for (int round = 0; round < 20; ++round) {
    auto queue = queue_of(*file, kDepth);
    submit_all(*queue, slots);
    if (round % 2 == 0) {
      EXPECT_TRUE(queue->wait().has_value());
    }
    queue.reset();
    // The memory is ours again: a read that was still going on would write into it while the next
    // ones are waited for.
    for (unsigned i = 0; i < kDepth; ++i) std::ranges::fill(slots[i], std::byte{0x5A});
    queue = queue_of(*file, kDepth);
    submit_all(*queue, others);
    while (queue->in_flight() > 0) ASSERT_TRUE(queue->wait().has_value());
    for (unsigned i = 0; i < kDepth; ++i) {
      ASSERT_EQ(std::ranges::count(slots[i], std::byte{0x5A}), std::ptrdiff_t{kSlotBytes});
    }
  }
}

TEST_P(PlatformReadQueue, TwoQueuesDoNotMix) {
  const auto content = pattern(4 * kSlotBytes);
  const auto file = open(put_file("file", content));
  const Slots slots(platform(), 2, kSlotBytes);
  const auto one = queue_of(*file, 1);
  const auto two = queue_of(*file, 1);
  ASSERT_TRUE(one->submit({0, slots[0], 1}).has_value());
  ASSERT_TRUE(two->submit({kSlotBytes, slots[1], 2}).has_value());
  EXPECT_EQ(two->wait().value().id, 2u);
  EXPECT_EQ(one->wait().value().id, 1u);
  expect_content(slots[0], 0, kSlotBytes, content);
  expect_content(slots[1], kSlotBytes, kSlotBytes, content);
}

TEST_P(PlatformReadQueue, LeavesNothingInTheCacheWhereItIsAskedTo) {
  if (GetParam().options.caching == Caching::kUse) GTEST_SKIP() << "it is asked to cache";
  const auto file = file_of(8 * kSlotBytes + 1000);
  file->drop_cache();
  ASSERT_EQ(file->cached_bytes(), 0u);
  const Slots slots(platform(), 9, kSlotBytes);
  const auto queue = queue_of(*file, 9);
  for (size_t i = 0; i < 9; ++i) {
    ASSERT_TRUE(queue->submit({i * kSlotBytes, slots[i], i}).has_value());
  }
  while (queue->in_flight() > 0) ASSERT_TRUE(queue->wait().has_value());
  EXPECT_EQ(file->cached_bytes(), 0u);
}

TEST_P(PlatformReadQueue, BrokenPromisesAreBugs) {
  const auto file = file_of(4 * kSlotBytes);
  const Slots slots(platform(), 2, kSlotBytes);
  // The child opens the queue itself: one with threads does not survive a fork.
  const auto submit = [&](std::vector<ReadRequest> requests) {
    const auto queue = queue_of(*file, 1);
    for (const ReadRequest& request : requests) static_cast<void>(queue->submit(request));
  };
  EXPECT_DEATH(static_cast<void>(file->open_queue(0)), "bug in spillway");
  EXPECT_DEATH(static_cast<void>(queue_of(*file, 1)->wait()), "bug in spillway");
  EXPECT_DEATH(submit({{0, slots[0], 1}, {0, slots[1], 2}}), "bug in spillway");
  if (file->info().offset_alignment > 1) {
    EXPECT_DEATH(submit({{1, slots[0], 1}}), "bug in spillway");
    EXPECT_DEATH(submit({{0, slots[0].first(100), 1}}), "bug in spillway");
    EXPECT_DEATH(submit({{0, slots[0].subspan(1).first(4096), 1}}), "bug in spillway");
  }
}

INSTANTIATE_TEST_SUITE_P(Platforms, PlatformReadQueue, testing::ValuesIn(environment_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace spillway::platform
