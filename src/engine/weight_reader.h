// Brings stretches of a file into memory on a thread of its own, in their order, so that what has
// come is used while the rest is on its way.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/result.h"
#include "platform/platform.h"

namespace spillway::engine {

// Bytes done and bytes in all. Returns whether to go on.
using Progress = std::function<bool(uint64_t done, uint64_t total)>;

// The file from `begin` to `end`, to `place` in the target; the next stretch's place is where this
// one ends.
struct Stretch {
  uint64_t begin = 0;
  uint64_t end = 0;
  size_t place = 0;
};

class WeightReader {
 public:
  // `file` and `target` outlive it. Errors: the file cannot be read with many reads in flight.
  static Result<std::unique_ptr<WeightReader>> start(const platform::File& file,
                                                     std::span<std::byte> target,
                                                     std::span<const Stretch> stretches);
  ~WeightReader();  // gives up what has not come
  WeightReader(const WeightReader&) = delete;
  WeightReader& operator=(const WeightReader&) = delete;

  // Waits until the target's first `end` bytes have come; `progress` is called each time that some
  // come. kBadFile (the file got shorter), kMachine (it cannot be read), kInterrupted (`progress`
  // said so; the reading goes on).
  Result<void> await(size_t end, const Progress& progress);

 private:
  struct Piece {
    uint64_t offset = 0;
    std::span<std::byte> target;
  };

  WeightReader(const platform::File& file, std::unique_ptr<platform::ReadQueue> queue)
      : file_(file), queue_(std::move(queue)) {}
  void run();
  Result<void> read_all();
  Result<void> check(const platform::ReadCompletion& completion) const;
  uint64_t wanted(const Piece& piece) const;
  // Returns whether to go on.
  bool publish(size_t come, uint64_t bytes);

  const platform::File& file_;
  std::unique_ptr<platform::ReadQueue> queue_;  // the thread's
  std::vector<Piece> pieces_;
  std::vector<size_t> ends_;  // of the pieces, in the target
  uint64_t total_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t come_ = 0;  // bytes of the target, without a gap
  uint64_t bytes_read_ = 0;
  bool stop_ = false;
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace spillway::engine
