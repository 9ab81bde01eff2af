// Sources for a StreamAllocator that need no GPU. PlainSource has ordinary memory and streams whose
// work has always ended. ScriptedSource's events end when the test says so, and its n-th call
// fails on demand. Thread-safe.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "base/units.h"
#include "memory/segment_source.h"

namespace spillway::test {

// Ranges next to each other out of one reservation, as a region would give them; what was given
// back is given again. Pages are there once they are touched.
class PlainSource : public memory::SegmentSource {
 public:
  explicit PlainSource(size_t bytes, size_t granule_bytes = size_t{2} << 20)
      : granule_bytes_(granule_bytes),
        memory_(static_cast<std::byte*>(std::aligned_alloc(granule_bytes, bytes))) {
    SPILLWAY_CHECK(memory_ != nullptr);
    free_[memory_] = round_down(bytes, granule_bytes);
  }
  ~PlainSource() override { std::free(memory_); }
  PlainSource(const PlainSource&) = delete;
  PlainSource& operator=(const PlainSource&) = delete;

  size_t granule_bytes() const override { return granule_bytes_; }

  Result<std::byte*> grow(size_t bytes) override {
    const std::lock_guard lock(mutex_);
    SPILLWAY_CHECK(bytes > 0 && bytes % granule_bytes_ == 0);
    for (auto& [start, size] : free_) {
      if (size < bytes) continue;
      std::byte* const found = start;
      const size_t rest = size - bytes;
      free_.erase(found);
      if (rest > 0) free_[found + bytes] = rest;
      held_bytes_ += bytes;
      return found;
    }
    return fail(ErrorCode::kBudget, "the plain source has no {} left", format_size(bytes));
  }

  size_t shrink(std::byte* start, size_t bytes) override {
    const std::lock_guard lock(mutex_);
    SPILLWAY_CHECK(bytes > 0 && bytes % granule_bytes_ == 0);
    SPILLWAY_CHECK(static_cast<size_t>(start - memory_) % granule_bytes_ == 0);
    auto [at, inserted] = free_.emplace(start, bytes);
    SPILLWAY_CHECK(inserted);
    if (const auto next = std::next(at); next != free_.end() && start + bytes == next->first) {
      at->second += next->second;
      free_.erase(next);
    }
    if (at != free_.begin()) {
      const auto before = std::prev(at);
      if (before->first + before->second == start) {
        before->second += at->second;
        free_.erase(at);
      }
    }
    held_bytes_ -= bytes;
    return bytes;
  }

  Result<void> synchronise(Stream) override { return {}; }
  Result<memory::Mark> record(Stream) override { return memory::Mark{}; }
  Result<bool> ended(memory::Mark) override { return true; }
  Result<void> wait(memory::Mark) override { return {}; }
  void drop(memory::Mark) override {}

  size_t held_bytes() const {
    const std::lock_guard lock(mutex_);
    return held_bytes_;
  }

 private:
  const size_t granule_bytes_;
  std::byte* const memory_;
  mutable std::mutex mutex_;
  std::map<std::byte*, size_t> free_;  // no two of them next to each other
  size_t held_bytes_ = 0;
};

// Each stream's clock counts the work that it was given and the work that has ended.
class ScriptedSource : public PlainSource {
 public:
  using PlainSource::PlainSource;

  struct Clock {
    uint64_t given = 0;
    uint64_t ended = 0;
  };

  // Puts a piece of work into the stream; returns its number there.
  uint64_t work(Stream stream) {
    const std::lock_guard lock(mutex_);
    return ++clocks_[stream.native].given;
  }
  bool has_ended(Stream stream, uint64_t work) {
    const std::lock_guard lock(mutex_);
    return work <= clocks_[stream.native].ended;
  }
  // Some of the stream's work, or all of it, ends.
  void finish(Stream stream, uint64_t pieces = ~uint64_t{0}) {
    const std::lock_guard lock(mutex_);
    Clock& clock = clocks_[stream.native];
    clock.ended += std::min(pieces, clock.given - clock.ended);
  }
  // The n-th call from now on fails, counted from 1, and with `for_good` those after it.
  void fail_at(uint64_t call, bool for_good) {
    const std::lock_guard lock(mutex_);
    fail_at_ = call;
    for_good_ = for_good;
    calls_ = 0;
  }
  uint64_t calls() const { return calls_; }
  size_t marks() const { return marks_.size(); }
  uint64_t waits() const { return waits_; }

  Result<std::byte*> grow(size_t bytes) override {
    SPILLWAY_TRY(count());
    return PlainSource::grow(bytes);
  }
  Result<void> synchronise(Stream stream) override {
    SPILLWAY_TRY(count());
    finish(stream);
    ++waits_;
    return {};
  }
  Result<memory::Mark> record(Stream stream) override {
    SPILLWAY_TRY(count());
    const std::lock_guard lock(mutex_);
    marks_[++next_mark_] = {stream.native, clocks_[stream.native].given};
    return memory::Mark{next_mark_};
  }
  Result<bool> ended(memory::Mark mark) override {
    SPILLWAY_TRY(count());
    const std::lock_guard lock(mutex_);
    const auto& [stream, given] = marks_.at(mark.value);
    return given <= clocks_[stream].ended;
  }
  Result<void> wait(memory::Mark mark) override {  // the work ends while the caller waits
    SPILLWAY_TRY(count());
    const std::lock_guard lock(mutex_);
    const auto& [stream, given] = marks_.at(mark.value);
    clocks_[stream].ended = std::max(clocks_[stream].ended, given);
    ++waits_;
    return {};
  }
  void drop(memory::Mark mark) override {
    const std::lock_guard lock(mutex_);
    SPILLWAY_CHECK(marks_.erase(mark.value) == 1);
  }

 private:
  Result<void> count() {
    const std::lock_guard lock(mutex_);
    ++calls_;
    const bool fails = fail_at_ != 0 && (for_good_ ? calls_ >= fail_at_ : calls_ == fail_at_);
    if (!fails) return {};
    return fail(ErrorCode::kMachine, "call {} of the source fails for a test", calls_);
  }

  std::mutex mutex_;
  std::map<void*, Clock> clocks_;
  std::map<uint64_t, std::pair<void*, uint64_t>> marks_;
  uint64_t next_mark_ = 0;
  uint64_t calls_ = 0;
  uint64_t waits_ = 0;
  uint64_t fail_at_ = 0;
  bool for_good_ = false;
};

inline Stream stream_of(uintptr_t number) {
  return {reinterpret_cast<void*>(number * 256)};
}

}  // namespace spillway::test
