// Random walks through random cycles: what is acquired in any order that the slots allow, skipped
// early, late or in flight, is always the file's bytes, and the reads never fall behind.
#include "memory/staging_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

#include "../../support/pattern.h"
#include "base/units.h"
#include "platform/simulated/simulated_platform.h"

namespace spillway::memory {
namespace {

class RingWalk {
 public:
  explicit RingWalk(uint64_t seed) : engine_(seed) {
    const size_t alignment = size_t{1} << below(13);
    platform_ = platform::make_simulated_platform({.offset_alignment = alignment,
                                                   .memory_alignment = size_t{1} << below(16),
                                                   .refuse_direct = below(4) == 0});
    content_ = test::patterned_bytes(20'000 + below(200'000), seed);
    platform_->put_file("model", content_);
    file_ = platform_->open("model", {}).value();
    slots_ = static_cast<unsigned>(2 + below(6));
    size_t slot_bytes = 0;
    cycle_.resize(1 + below(20));
    for (StreamRange& range : cycle_) {
      range.offset = below(content_.size());
      range.size = 1 + below(std::min<size_t>(content_.size() - range.offset, 20'000));
      slot_bytes = std::max(slot_bytes, StagingRing::padded_bytes(range, file_->info()));
    }
    released_.assign(cycle_.size(), 0);
    ring_ = StagingRing::create(*platform_, budget_, *file_, cycle_,
                                {.slot_bytes = slot_bytes,
                                 .slots = slots_,
                                 .depth = static_cast<unsigned>(below(slots_ + 1))})
                .value();
  }

  void run() {
    for (int step = 0; step < 500 && !testing::Test::HasFatalFailure(); ++step) {
      if (below(3) == 0) platform_->spend(static_cast<double>(below(100)) * 1e-5);
      const uint64_t use = pick();
      const auto held = held_.find(use);
      const size_t action = below(8);
      if (action == 0 || (held != held_.end() && action < 5)) {
        release(use);
      } else {
        acquire(use);
      }
      for (const auto& [old, bytes] : held_) expect_bytes(old, bytes);
    }
    EXPECT_EQ(ring_->statistics().bytes_used, bytes_used_);
    EXPECT_GE(ring_->statistics().bytes_read, bytes_used_);
    ring_.reset();
    EXPECT_EQ(budget_.usage().bytes, 0u);
    EXPECT_EQ(platform_->committed_bytes(), 0u);
  }

 private:
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(engine_); }
  bool over(uint64_t use) const { return released_[use % cycle_.size()] > use / cycle_.size(); }

  // One of the uses that the slots can reach: the first `slots` that are not over, and of each
  // entry only the first of those, for an entry's next turn begins when this one ends.
  uint64_t pick() {
    std::vector<uint64_t> reachable;
    unsigned reached = 0;
    for (uint64_t use = 0; reached < slots_; ++use) {
      if (over(use)) continue;
      ++reached;
      if (released_[use % cycle_.size()] == use / cycle_.size()) reachable.push_back(use);
    }
    return reachable[below(reachable.size())];
  }

  void acquire(uint64_t use) {
    const auto bytes = ring_->acquire(use % cycle_.size());
    ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
    expect_bytes(use, *bytes);
    const auto [entry, fresh] = held_.emplace(use, *bytes);
    if (fresh) bytes_used_ += bytes->size();
    ASSERT_EQ(entry->second.data(), bytes->data());
  }

  void release(uint64_t use) {
    held_.erase(use);
    ++released_[use % cycle_.size()];
    ASSERT_TRUE(ring_->release(use % cycle_.size()).has_value());
  }

  void expect_bytes(uint64_t use, std::span<const std::byte> bytes) {
    const StreamRange& range = cycle_[use % cycle_.size()];
    ASSERT_EQ(bytes.size(), range.size);
    ASSERT_EQ(std::memcmp(bytes.data(), content_.data() + range.offset, range.size), 0);
  }

  std::mt19937_64 engine_;
  std::unique_ptr<platform::SimulatedPlatform> platform_;
  Budget budget_{Tier::kHost, 16 * kMiB};
  std::vector<std::byte> content_;
  std::unique_ptr<platform::File> file_;
  std::vector<StreamRange> cycle_;
  unsigned slots_ = 2;
  std::unique_ptr<StagingRing> ring_;
  std::vector<uint64_t> released_;  // by entry
  std::map<uint64_t, std::span<const std::byte>> held_;
  uint64_t bytes_used_ = 0;
};

TEST(StagingRingProperty, GivesTheBytesOfTheFile) {
  for (uint64_t seed = 1; seed <= 60 && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RingWalk(seed).run();
  }
}

}  // namespace
}  // namespace spillway::memory
