// A fixed team of threads that run one loop at a time, for the many short parallel loops of a
// decode step. Owned by whoever computes; one thread calls run() at a time (it takes part as worker
// 0). Thread-compatible.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace spillway {

class ThreadPool {
 public:
  // Looks for the next loop until a worker goes to sleep: about 0.1 ms.
  static constexpr int kSpins = 2000;

  // threads ≥ 1, the caller's included; fewer where the system gives no more.
  explicit ThreadPool(unsigned threads, int spins = kSpins);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  // Where the part of `thread` begins in a loop over [0, count); count and grain ≥ 1.
  size_t part_begin(size_t count, size_t grain, size_t thread) const;

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
  using Body = std::function<void(size_t, size_t)>;
  static constexpr size_t kPartBytes = 512;
  // A thread's part of the loop and what that thread has done, on one cache line, so that few lines
  // go from processor to processor; the lines far apart, as a processor that misses one fetches its
  // neighbours, too (64 bytes apart 4 %, 128 bytes 8 % of decoding Q4_0 on a Granite Rapids). Who
  // takes a range by lowering `left` may read all of it: the loop does not end before that thread
  // says that it is done. `done` is reset before any of the next loop's ranges can be taken.
  struct alignas(kPartBytes) Part {
    std::atomic<uint32_t> call = 0;  // even, rises when there is something to do; odd: asleep
    std::atomic<uint32_t> left = 0;  // ranges that nobody has taken
    std::atomic<uint32_t> done = 0;  // ranges of any part that its thread has taken and done
    uint32_t ranges = 0;
    size_t begin = 0;
    size_t end = 0;
    size_t grain = 1;
    const Body* body = nullptr;
    Memory soon;
  };

  static void call(Part& part);
  uint32_t await_call(Part& own, uint32_t last, Memory& soon) const;
  void work(size_t worker);
  uint32_t publish(size_t count, size_t grain, const Body& body, std::span<const Memory> soon);
  uint32_t take_ranges(size_t worker, Memory& soon);
  static std::optional<uint32_t> take(std::atomic<uint32_t>& left);
  void await(uint32_t ranges, Memory soon);
  bool are_done(uint32_t ranges) const;

  const int spins_;
  std::vector<Part> parts_;
  std::atomic<uint32_t> asleep_ = 0;  // 1: run() sleeps until workers are done
  std::atomic<bool> stop_ = false;
  std::vector<std::jthread> workers_;  // the last: they end before what they use
};

}  // namespace spillway
