// Counts what goes through: bytes as asked for and allocations, now, at most and in sum. Counters
// can be pushed, to see one phase by itself, and popped, as RMM's statistics_resource_adaptor does.
// Thread-safe where the upstream is, which outlives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "spillway/memory/resource.h"

namespace spillway::memory {

// Since it was pushed. Signed: what is freed here may have been allocated before the push.
struct Counter {
  int64_t current = 0;
  int64_t peak = 0;
  int64_t total = 0;
  bool operator==(const Counter&) const = default;
};

struct Counters {
  Counter bytes;
  Counter allocations;
  bool operator==(const Counters&) const = default;
};

// The part of StatisticsAdaptor that knows no upstream. Thread-safe.
class CounterStack {
 public:
  void allocated(size_t bytes);
  void freed(size_t bytes) noexcept;
  Counters top() const;
  Counters push();
  Result<Counters> pop();

 private:
  mutable std::mutex mutex_;
  std::vector<Counters> stack_ = std::vector<Counters>(1);
};

template <Resource Upstream>
class StatisticsAdaptor {
 public:
  explicit StatisticsAdaptor(Upstream& upstream) : upstream_(upstream) {}

  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment) {
    auto pointer = upstream_.allocate(stream, bytes, alignment);
    if (pointer) counters_.allocated(bytes);
    return pointer;
  }
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) noexcept {
    counters_.freed(bytes);
    upstream_.deallocate(stream, pointer, bytes, alignment);
  }

  Counters counters() const { return counters_.top(); }
  // Counts from zero until pop_counters(). Returns what was on top.
  Counters push_counters() { return counters_.push(); }
  // Adds what was counted since the push to the counters below, and returns it. kUsage: nothing
  // was pushed.
  Result<Counters> pop_counters() { return counters_.pop(); }

 private:
  Upstream& upstream_;
  CounterStack counters_;
};

}  // namespace spillway::memory
