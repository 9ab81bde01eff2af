// Asks a callback what to do when an allocation fails: it may make room, and the allocation is
// tried again as long as it says so. No lock is held meanwhile: the callback may allocate and free.
// Thread-safe where the upstream and the callback are, which outlive it.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "spillway/memory/resource.h"

namespace spillway::memory {

// True: try again. It must say false at last.
using OnFailure = std::function<bool(size_t bytes, const Error& error)>;

template <Resource Upstream>
class FailureCallbackAdaptor {
 public:
  FailureCallbackAdaptor(Upstream& upstream, OnFailure on_failure)
      : upstream_(upstream), on_failure_(std::move(on_failure)) {}

  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment) {
    for (;;) {
      auto pointer = upstream_.allocate(stream, bytes, alignment);
      if (pointer || !on_failure_(bytes, pointer.error())) return pointer;
    }
  }
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) noexcept {
    upstream_.deallocate(stream, pointer, bytes, alignment);
  }

 private:
  Upstream& upstream_;
  const OnFailure on_failure_;
};

}  // namespace spillway::memory
