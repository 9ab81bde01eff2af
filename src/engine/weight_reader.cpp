#include "engine/weight_reader.h"

#include <utility>

namespace spillway::engine {

WeightReader::WeightReader(std::unique_ptr<StretchSource> source)
    : source_(std::move(source)), total_(source_->total_bytes()) {
  thread_ = std::thread([this] {
    auto done =
        source_->bring_all([this](size_t end, uint64_t bytes) { return publish(end, bytes); });
    const std::lock_guard lock(mutex_);
    if (!done) error_ = std::move(done).error();
    changed_.notify_all();
  });
}

WeightReader::~WeightReader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  thread_.join();
}

Result<void> WeightReader::await(size_t end, const Progress& progress) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (error_) return tl::make_unexpected(*error_);
    const uint64_t bytes_read = bytes_read_;
    const bool come = come_ >= end;
    if (progress) {
      lock.unlock();
      if (!progress(bytes_read, total_))
        return fail(ErrorCode::kInterrupted, "interrupted while loading");
      lock.lock();
    }
    if (come) return {};
    changed_.wait(lock, [&] { return error_ || bytes_read_ != bytes_read; });
  }
}

bool WeightReader::publish(size_t come, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  come_ = come;
  bytes_read_ += bytes;
  changed_.notify_all();
  return !stop_;
}

}  // namespace spillway::engine
