// A fixed team of threads that run one loop at a time, for the many short parallel loops of a
// decode step. Owned by whoever computes; one thread calls run() at a time (it takes part as worker
// 0). Thread-compatible.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <thread>
#include <vector>

namespace spillway {

class ThreadPool {
 public:
  // Looks at the next loop's number until a worker goes to sleep: about 0.1 ms.
  static constexpr int kSpins = 2000;

  // threads ≥ 1, the caller's included; fewer where the system gives no more.
  explicit ThreadPool(unsigned threads, int spins = kSpins);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The first of `ranges` ranges that belong to `thread`'s own part.
  static size_t part_begin(size_t ranges, size_t thread, size_t threads) {
    return ranges * thread / threads;
  }

  unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  // Calls body(begin, end) over disjoint ranges that cover [0, count), at most `grain` long each,
  // and returns when all are done. Every thread that shows up helps; one that the system does not
  // schedule is not waited for, so that a busy machine costs its share and no more. A thread first
  // takes neighbouring ranges from a part of its own, so that memory passes by in order, and then
  // what others left. Which thread runs which range is not fixed: results must not depend on it.
  //
  // `soon`, of each thread (or none): memory that its part of a later loop begins with. Threads
  // that wait call it into their caches meanwhile, so that memory does not idle with them.
  using Memory = std::span<const std::byte>;
  void run(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body,
           std::span<const Memory> soon = {});

 private:
  // A thread's own part of the loop, on a cache line of its own.
  struct alignas(64) Part {
    std::atomic<size_t> next = 0;  // first index not yet taken
    size_t end = 0;
    Memory soon;
  };

  void work(size_t worker);
  bool join(unsigned seen);
  void leave();
  void take_ranges(size_t worker);

  const int spins_;
  const std::function<void(size_t, size_t)>* body_ = nullptr;
  size_t grain_ = 1;
  std::vector<Part> parts_;
  // The loop's number, whether workers may join it, and how many have joined and not left; see the
  // masks in the source. body_, grain_ and the parts change only while it is closed and empty.
  std::atomic<unsigned> loop_ = 0;
  std::atomic<bool> stop_ = false;
  std::vector<std::jthread> workers_;  // the last: they end before what they use
};

}  // namespace spillway
