// Reads memory for its rate only: what no product with weights can be faster than.
// Thread-compatible.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/thread_pool.h"
#include "memory/host_region.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::machine {

// In which order lines are read. Which of the two is faster differs between machines, and with what
// else they do.
enum class ReadPattern { kFourStreams, kOneStream };
inline constexpr std::array kReadPatterns = {ReadPattern::kFourStreams, ReadPattern::kOneStream};

class DramReader {
 public:
  // A buffer of `buffer_bytes`, charged while the reader lives.
  static Result<DramReader> create(platform::Platform& platform, memory::Budget& budget,
                                   ThreadPool& pool, size_t buffer_bytes);

  // All of the buffer once, on all of the pool's threads: bytes per second.
  double read(ReadPattern pattern);
  size_t bytes() const { return buffer_->size_bytes(); }
  uint64_t total() const { return total_->load(); }  // of the words read: keeps the reads alive

 private:
  DramReader(platform::Platform& platform, ThreadPool& pool,
             std::unique_ptr<memory::HostRegion> buffer)
      : platform_(&platform), pool_(&pool), buffer_(std::move(buffer)) {}

  platform::Platform* platform_;
  ThreadPool* pool_;
  std::unique_ptr<memory::HostRegion> buffer_;
  std::unique_ptr<std::atomic<uint64_t>> total_ = std::make_unique<std::atomic<uint64_t>>(0);
};

}  // namespace spillway::machine
