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

// loop_: | number | open | workers inside |
constexpr unsigned kInside = 0xfff;
constexpr unsigned kOpen = 0x1000;
constexpr unsigned kNumber = ~(kInside | kOpen);
constexpr unsigned kNextNumber = kOpen << 1;

// Bytes that come into the second-level cache between two looks at the next loop's number.
constexpr size_t kPrefetchedBytes = 2048;

void prefetch(ThreadPool::Memory& memory) {
  const size_t bytes = std::min(memory.size(), kPrefetchedBytes);
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(memory.data() + i, 0, 2);
  memory = memory.subspan(bytes);
}

// Returns the value once `ready` says so of it. Loops follow each other within microseconds while a
// token is computed: waiting in a short spin saves two system calls a loop; then the thread sleeps,
// so that an idle engine costs nothing.
template <typename Ready>
unsigned wait_until(const std::atomic<unsigned>& value, int spins, ThreadPool::Memory& soon,
                    Ready ready) {
  for (int spin = 0; spin < spins; ++spin) {
    const unsigned now = value.load(std::memory_order_acquire);
    if (ready(now)) return now;
    soon.empty() ? pause() : prefetch(soon);
  }
  for (;;) {
    const unsigned now = value.load(std::memory_order_acquire);
    if (ready(now)) return now;
    value.wait(now, std::memory_order_acquire);
  }
}

}  // namespace

ThreadPool::ThreadPool(unsigned threads, int spins) : spins_(spins), parts_(threads) {
  SPILLWAY_CHECK(threads >= 1 && threads <= kInside);
  workers_.reserve(threads - 1);
  try {
    for (unsigned i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
    // The system gives no more: those that there are do the work, at least the caller.
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  loop_.fetch_add(kNextNumber, std::memory_order_release);
  loop_.notify_all();
}

void ThreadPool::run(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body,
                     std::span<const Memory> soon) {
  if (count == 0) return;
  grain = std::max<size_t>(grain, 1);
  if (workers_.empty() || count <= grain) {
    for (size_t begin = 0; begin < count; begin += grain)
      body(begin, std::min(count, begin + grain));
    return;
  }
  body_ = &body;
  grain_ = grain;
  const size_t ranges = (count + grain - 1) / grain;
  for (size_t i = 0; i < parts_.size(); ++i) {
    parts_[i].next.store(part_begin(ranges, i, parts_.size()) * grain, std::memory_order_relaxed);
    parts_[i].end = std::min(count, part_begin(ranges, i + 1, parts_.size()) * grain);
    parts_[i].soon = i < soon.size() ? soon[i] : Memory();
  }
  loop_.fetch_add(kNextNumber | kOpen, std::memory_order_release);
  loop_.notify_all();
  take_ranges(0);
  loop_.fetch_and(~kOpen, std::memory_order_acq_rel);
  Memory memory = parts_[0].soon;
  wait_until(loop_, spins_, memory, [](unsigned loop) { return (loop & kInside) == 0; });
}

void ThreadPool::take_ranges(size_t worker) {
  for (size_t i = 0; i < parts_.size(); ++i) {
    Part& part = parts_[(worker + i) % parts_.size()];
    for (;;) {
      const size_t begin = part.next.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= part.end) break;
      (*body_)(begin, std::min(part.end, begin + grain_));
    }
  }
}

// Enters the loop that is open; false if none is.
bool ThreadPool::join(unsigned seen) {
  while ((seen & kOpen) != 0) {
    if (loop_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void ThreadPool::leave() {
  const unsigned left = loop_.fetch_sub(1, std::memory_order_acq_rel) - 1;
  if ((left & (kOpen | kInside)) == 0) loop_.notify_all();
}

void ThreadPool::work(size_t worker) {
  unsigned done = 0;  // the number of the last loop
  Memory soon;
  while (!stop_.load(std::memory_order_relaxed)) {
    const unsigned seen =
        wait_until(loop_, spins_, soon, [&](unsigned loop) { return (loop & kNumber) != done; });
    done = seen & kNumber;
    if (!join(seen)) continue;
    take_ranges(worker);
    if (!parts_[worker].soon.empty()) soon = parts_[worker].soon;
    leave();
  }
}

}  // namespace spillway
