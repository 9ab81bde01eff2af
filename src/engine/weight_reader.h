// Brings stretches of a file into memory on a thread of its own, in their order, so that what has
// come is used while the rest is on its way: by direct reads to their place, or into the page
// cache, for a mapping of the file.
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
  // All but the stretches outlive it. Errors: the file cannot be read with many reads in flight.
  static Result<std::unique_ptr<WeightReader>> start(const platform::File& file,
                                                     std::span<std::byte> target,
                                                     std::span<const Stretch> stretches);
  static std::unique_ptr<WeightReader> start(const platform::File& file,
                                             const platform::FileMapping& mapping,
                                             std::span<const Stretch> stretches);
  ~WeightReader();  // gives up what has not come
  WeightReader(const WeightReader&) = delete;
  WeightReader& operator=(const WeightReader&) = delete;

  // Waits until what has its place before `end` has come; `progress` is called each time that some
  // come. kBadFile (the file got shorter), kMachine (it cannot be read), kInterrupted (`progress`
  // said so; the reading goes on).
  Result<void> await(size_t end, const Progress& progress);

 private:
  struct Piece {
    uint64_t offset = 0;
    size_t size = 0;
    size_t place = 0;
  };

  WeightReader(const platform::File& file, std::span<const Stretch> stretches);
  void begin(Result<void> (WeightReader::*all)());
  Result<void> read_all();
  Result<void> bring_all();
  Result<void> check(const platform::ReadCompletion& completion) const;
  tl::unexpected<Error> truncated(uint64_t size) const;
  uint64_t wanted(const Piece& piece) const;
  // Returns whether to go on.
  bool publish(size_t come, uint64_t bytes);

  const platform::File& file_;
  std::span<std::byte> target_;
  std::unique_ptr<platform::ReadQueue> queue_;  // the thread's
  const platform::FileMapping* mapping_ = nullptr;
  std::vector<Piece> pieces_;
  uint64_t total_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t come_ = 0;  // bytes of all places, without a gap
  uint64_t bytes_read_ = 0;
  bool stop_ = false;
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace spillway::engine
