// A stream of a simulated GPU: a thread that does one piece of work after the other, started with
// the first one. Owned by its SimulatedGpu; thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <thread>

namespace spillway::platform {

// A place in a stream, passed when its latch is down. Shared by the event, by the stream that will
// pass it and by those that wait: each may be destroyed before the others.
using StreamMark = std::shared_ptr<std::latch>;

class SimulatedStream {
 public:
  explicit SimulatedStream(std::chrono::microseconds work_delay) : work_delay_(work_delay) {}
  ~SimulatedStream();  // does what it was given first
  SimulatedStream(const SimulatedStream&) = delete;
  SimulatedStream& operator=(const SimulatedStream&) = delete;

  void put(std::function<void()> work);
  // Passed once everything that was put before has ended.
  StreamMark mark();
  // No work is put any more.
  void close();
  // All work has ended and none will come.
  bool ended() const;

 private:
  void run();

  const std::chrono::microseconds work_delay_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace spillway::platform
