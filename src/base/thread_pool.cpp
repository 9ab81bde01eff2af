#include "base/thread_pool.h"

#include <algorithm>
#include <system_error>

#include "base/check.h"

namespace spillway {
namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Bytes that come into the second-level cache between two looks for the next loop.
constexpr size_t kPrefetchedBytes = 2048;

// Of one part, or all.
constexpr size_t kMostRanges = UINT32_MAX / 2;
constexpr uint32_t kAsleep = 1;

void prefetch(ThreadPool::Memory& memory) {
  const size_t bytes = std::min(memory.size(), kPrefetchedBytes);
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(memory.data() + i, 0, 2);
  memory = memory.subspan(bytes);
}

}  // namespace

ThreadPool::ThreadPool(unsigned threads, int spins) : spins_(spins), parts_(threads) {
  SPILLWAY_CHECK(threads >= 1);
  workers_.reserve(threads - 1);
  try {
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
    // The system gives no more: those that there are do the work, at least the caller.
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  for (Part& part : parts_) call(part);
}

size_t ThreadPool::part_begin(size_t count, size_t grain, size_t thread) const {
  const size_t parts = std::min<size_t>(threads(), (count + grain - 1) / grain);
  return count * std::min(thread, parts) / parts;
}

void ThreadPool::run(size_t count, size_t grain, const Body& body, std::span<const Memory> soon) {
  if (count == 0) return;
  grain = std::max(grain, count / kMostRanges + 1);
  if (workers_.empty() || count <= grain) {
    for (size_t begin = 0; begin < count; begin += grain)
      body(begin, std::min(count, begin + grain));
    return;
  }
  const uint32_t ranges = publish(count, grain, body, soon);
  Memory memory;
  const uint32_t own = take_ranges(0, memory);
  await(ranges - own, memory);
}

// How many ranges the loop has.
uint32_t ThreadPool::publish(size_t count, size_t grain, const Body& body,
                             std::span<const Memory> soon) {
  uint32_t ranges = 0;
  for (size_t i = 0; i < threads(); ++i) {
    Part& part = parts_[i];
    part.begin = i == 0 ? 0 : parts_[i - 1].end;
    part.end = part_begin(count, grain, i + 1);
    part.grain = grain;
    part.ranges = static_cast<uint32_t>((part.end - part.begin + grain - 1) / grain);
    part.body = &body;
    part.soon = i < soon.size() ? soon[i] : Memory();
    part.done.store(0, std::memory_order_relaxed);
    ranges += part.ranges;
  }
  for (size_t i = 0; i < threads(); ++i) {
    if (parts_[i].ranges == 0) continue;
    parts_[i].left.store(parts_[i].ranges, std::memory_order_release);
    if (i > 0) call(parts_[i]);
  }
  return ranges;
}

void ThreadPool::call(Part& part) {
  const uint32_t next = (part.call.load(std::memory_order_relaxed) | kAsleep) + 1;
  if ((part.call.exchange(next, std::memory_order_acq_rel) & kAsleep) != 0) part.call.notify_all();
}

// The call that follows `last`. Loops follow each other within microseconds while a token is
// computed: waiting in a short spin saves two system calls a loop; then threads sleep, so that an
// idle engine costs nothing.
uint32_t ThreadPool::await_call(Part& own, uint32_t last, Memory& soon) const {
  for (int spin = 0;; ++spin) {
    uint32_t now = own.call.load(std::memory_order_acquire);
    if ((now | kAsleep) != (last | kAsleep)) return now;
    if (spin < spins_) {
      soon.empty() ? pause() : prefetch(soon);
    } else if (now == (last | kAsleep) ||
               own.call.compare_exchange_strong(now, last | kAsleep, std::memory_order_acq_rel)) {
      own.call.wait(last | kAsleep, std::memory_order_acquire);
    }
  }
}

// How many it took.
uint32_t ThreadPool::take_ranges(size_t worker, Memory& soon) {
  uint32_t taken = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    Part& part = parts_[(worker + i) % parts_.size()];
    while (const auto left = take(part.left)) {
      if (i == 0 && !part.soon.empty()) soon = part.soon;
      const size_t begin = part.begin + (part.ranges - 1 - *left) * part.grain;
      (*part.body)(begin, std::min(part.end, begin + part.grain));
      ++taken;
    }
  }
  return taken;
}

// How many are left after the one that it took; none: it took none.
std::optional<uint32_t> ThreadPool::take(std::atomic<uint32_t>& left) {
  uint32_t now = left.load(std::memory_order_acquire);
  while (now != 0) {
    if (left.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel)) return now - 1;
  }
  return std::nullopt;
}

bool ThreadPool::are_done(uint32_t ranges) const {
  for (size_t i = 1; i < threads(); ++i) ranges -= parts_[i].done.load();
  return ranges == 0;
}

// Until workers have done so many ranges; as await_call.
void ThreadPool::await(uint32_t ranges, Memory soon) {
  for (int spin = 0; spin < spins_; ++spin) {
    if (are_done(ranges)) return;
    soon.empty() ? pause() : prefetch(soon);
  }
  for (;;) {
    asleep_.store(1);  // before the last look: a worker that is done later sees it
    if (are_done(ranges)) break;
    asleep_.wait(1);
  }
  asleep_.store(0, std::memory_order_relaxed);
}

void ThreadPool::work(size_t worker) {
  Part& own = parts_[worker];
  Memory soon;
  uint32_t last = 0;
  for (;;) {
    last = await_call(own, last, soon);
    if (stop_.load(std::memory_order_relaxed)) return;
    // Added up: a thread that comes late to a loop may help with the next one before it looks here.
    if (const uint32_t taken = take_ranges(worker, soon)) own.done.fetch_add(taken);
    if (asleep_.load() != 0) {
      asleep_.store(0);
      asleep_.notify_all();
    }
  }
}

}  // namespace spillway
