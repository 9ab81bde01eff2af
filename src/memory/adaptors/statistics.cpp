#include "spillway/memory/adaptors/statistics.h"

#include <algorithm>

#include "base/result.h"

namespace spillway::memory {
namespace {

void add(Counter& counter, int64_t value) {
  counter.current += value;
  counter.total += value;
  counter.peak = std::max(counter.peak, counter.current);
}

// `inner` was counted while `counter` stood still below it.
void add(Counter& counter, const Counter& inner) {
  counter.peak = std::max(counter.peak, counter.current + inner.peak);
  counter.current += inner.current;
  counter.total += inner.total;
}

}  // namespace

void CounterStack::allocated(size_t bytes) {
  const std::lock_guard lock(mutex_);
  add(stack_.back().bytes, static_cast<int64_t>(bytes));
  add(stack_.back().allocations, 1);
}

void CounterStack::freed(size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  stack_.back().bytes.current -= static_cast<int64_t>(bytes);
  stack_.back().allocations.current -= 1;
}

Counters CounterStack::top() const {
  const std::lock_guard lock(mutex_);
  return stack_.back();
}

Counters CounterStack::push() {
  const std::lock_guard lock(mutex_);
  const Counters before = stack_.back();
  stack_.emplace_back();
  return before;
}

Result<Counters> CounterStack::pop() {
  const std::lock_guard lock(mutex_);
  if (stack_.size() == 1) {
    return fail(ErrorCode::kUsage, "there are no counters to pop: as many pops as pushes");
  }
  const Counters inner = stack_.back();
  stack_.pop_back();
  add(stack_.back().bytes, inner.bytes);
  add(stack_.back().allocations, inner.allocations);
  return inner;
}

}  // namespace spillway::memory
