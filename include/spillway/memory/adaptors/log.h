// Writes a row for each call, in the CSV that RMM's logging_resource_adaptor writes and its replay
// benchmark reads; replay.h reads it here. Thread-safe where the upstream is, which outlives it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <utility>

#include "spillway/memory/resource.h"

namespace spillway::memory {

// Since midnight, of whichever time zone the reader of the log lives in.
using TimeOfDay = std::function<std::chrono::microseconds()>;

// The part of LogAdaptor that knows no upstream. Thread-safe.
class AllocationLog {
 public:
  AllocationLog(std::ostream& out, TimeOfDay now);
  void allocated(const void* pointer, size_t bytes, Stream stream);
  void failed(size_t bytes, Stream stream);
  void freed(const void* pointer, size_t bytes, Stream stream);

 private:
  void write(const char* action, const void* pointer, size_t bytes, Stream stream);
  std::mutex mutex_;
  std::ostream& out_;
  const TimeOfDay now_;
};

template <Resource Upstream>
class LogAdaptor {
 public:
  // Writes the header. `out` outlives it, and nobody else writes to it meanwhile; its errors stay
  // in its state.
  LogAdaptor(Upstream& upstream, std::ostream& out, TimeOfDay now)
      : upstream_(upstream), log_(out, std::move(now)) {}

  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment) {
    auto pointer = upstream_.allocate(stream, bytes, alignment);
    if (pointer) {
      log_.allocated(*pointer, bytes, stream);
    } else {
      log_.failed(bytes, stream);
    }
    return pointer;
  }
  // The row comes before the free: another thread may be given the pointer at once, and the rows
  // of one pointer must keep their order.
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) noexcept {
    log_.freed(pointer, bytes, stream);
    upstream_.deallocate(stream, pointer, bytes, alignment);
  }

 private:
  Upstream& upstream_;
  AllocationLog log_;
};

}  // namespace spillway::memory
