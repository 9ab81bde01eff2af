// Has a source bring weights into memory on a thread of its own, so that what has come is used
// while the rest is on its way.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "engine/stretch_source.h"

namespace spillway::engine {

// Bytes done and bytes in all. Returns whether to go on.
using Progress = std::function<bool(uint64_t done, uint64_t total)>;

class WeightReader {
 public:
  explicit WeightReader(std::unique_ptr<StretchSource> source);
  ~WeightReader();  // gives up what has not come
  WeightReader(const WeightReader&) = delete;
  WeightReader& operator=(const WeightReader&) = delete;

  // Waits until what has its place before `end` has come; `progress` is called each time that some
  // come. kBadFile (the file got shorter), kMachine (it cannot be read), kInterrupted (`progress`
  // said so; the reading goes on).
  Result<void> await(size_t end, const Progress& progress);

 private:
  bool publish(size_t come, uint64_t bytes);  // a StretchSource::Came

  const std::unique_ptr<StretchSource> source_;  // the thread's
  const uint64_t total_;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t come_ = 0;  // bytes of all places, without a gap
  uint64_t bytes_read_ = 0;
  bool stop_ = false;
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace spillway::engine
