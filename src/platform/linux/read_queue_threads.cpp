// The queue where the system refuses io_uring: threads that each do one blocking read at a time.
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/check.h"
#include "platform/linux/file.h"
#include "platform/read_request.h"

namespace spillway::platform {
namespace {

// More reads in flight than this have not made any disk faster, and each costs a stack.
constexpr unsigned kMaxThreads = 16;

class ThreadQueue : public ReadQueue {
 public:
  ThreadQueue(const LinuxFile& file, unsigned depth) : file_(file), depth_(depth) {}
  ~ThreadQueue() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      waiting_.clear();
    }
    submitted_.notify_all();
    threads_.clear();  // joins: what is being read is finished
  }
  ThreadQueue(const ThreadQueue&) = delete;
  ThreadQueue& operator=(const ThreadQueue&) = delete;

  Result<void> start() {
    const unsigned wanted = std::min(depth_, kMaxThreads);
    try {
      while (threads_.size() < wanted) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      // Fewer are slower, but enough.
      if (!threads_.empty()) return {};
      return fail(ErrorCode::kMachine, "cannot start a thread to read {}: {}", file_.info().path,
                  error.what());
    }
    return {};
  }

  unsigned depth() const override { return depth_; }
  unsigned in_flight() const override { return in_flight_; }
  std::string_view method() const override { return "threads"; }

  Result<void> submit(const ReadRequest& request) override {
    SPILLWAY_CHECK(in_flight_ < depth_);
    check_request(file_.info(), request);
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(request);
    }
    submitted_.notify_one();
    ++in_flight_;
    return {};
  }

  Result<ReadCompletion> wait() override {
    SPILLWAY_CHECK(in_flight_ > 0);
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return !done_.empty(); });
    return take();
  }

  Result<std::optional<ReadCompletion>> poll() override {
    const std::lock_guard lock(mutex_);
    if (done_.empty()) return std::nullopt;
    return take();
  }

 private:
  // The mutex is held.
  ReadCompletion take() {
    ReadCompletion completion = std::move(done_.front());
    done_.pop_front();
    --in_flight_;
    return completion;
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      submitted_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (stop_) return;
      const ReadRequest request = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      ReadCompletion completion{request.id, file_.read_aligned(request)};
      lock.lock();
      done_.push_back(std::move(completion));
      finished_.notify_one();
    }
  }

  const LinuxFile& file_;
  const unsigned depth_;
  unsigned in_flight_ = 0;  // of the queue's one user; the rest is shared with the threads
  std::mutex mutex_;
  std::condition_variable submitted_;
  std::condition_variable finished_;
  std::deque<ReadRequest> waiting_;
  std::deque<ReadCompletion> done_;
  bool stop_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace

Result<std::unique_ptr<ReadQueue>> open_thread_queue(const LinuxFile& file, unsigned depth) {
  auto queue = std::make_unique<ThreadQueue>(file, depth);
  SPILLWAY_TRY(queue->start());
  return queue;
}

}  // namespace spillway::platform
