#include "platform/simulated/gpu_stream.h"

#include <utility>

#include "base/check.h"

namespace spillway::platform {

SimulatedStream::~SimulatedStream() {
  close();
  if (thread_.joinable()) thread_.join();
}

void SimulatedStream::put(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  SPILLWAY_CHECK(!closed_);
  queue_.push_back(std::move(work));
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_one();
}

StreamMark SimulatedStream::mark() {
  auto passed = std::make_shared<std::latch>(1);
  put([passed] { passed->count_down(); });
  return passed;
}

void SimulatedStream::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_one();
}

bool SimulatedStream::ended() const {
  const std::lock_guard lock(mutex_);
  return closed_ && !busy_ && queue_.empty();
}

void SimulatedStream::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    if (work_delay_.count() > 0) std::this_thread::sleep_for(work_delay_);
    work();
    work = nullptr;  // what it holds goes without the lock
    lock.lock();
    busy_ = false;
  }
}

}  // namespace spillway::platform
