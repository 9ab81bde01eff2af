// A cap on the bytes that one resource holds at a time, each allocation rounded up to kAlignment.
// Thread-safe where the upstream is, which outlives it.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

#include "spillway/memory/resource.h"

namespace spillway::memory {

// The part of LimitAdaptor that knows no upstream. Thread-safe.
class ByteLimit {
 public:
  explicit ByteLimit(size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  // kBudget: it would be more than the limit.
  Result<void> take(size_t bytes);
  void give_back(size_t bytes) noexcept { held_bytes_ -= aligned_size(bytes); }
  size_t held_bytes() const { return held_bytes_; }
  size_t limit_bytes() const { return limit_bytes_; }

 private:
  const size_t limit_bytes_;
  std::atomic<size_t> held_bytes_ = 0;
};

template <Resource Upstream>
class LimitAdaptor {
 public:
  LimitAdaptor(Upstream& upstream, size_t limit_bytes) : upstream_(upstream), limit_(limit_bytes) {}

  // kBudget: the limit; else the upstream's errors.
  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment) {
    if (auto taken = limit_.take(bytes); !taken) {
      return tl::make_unexpected(std::move(taken).error());
    }
    auto pointer = upstream_.allocate(stream, bytes, alignment);
    if (!pointer) limit_.give_back(bytes);
    return pointer;
  }
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) noexcept {
    upstream_.deallocate(stream, pointer, bytes, alignment);
    if (pointer != nullptr) limit_.give_back(bytes);
  }

  size_t held_bytes() const { return limit_.held_bytes(); }
  size_t limit_bytes() const { return limit_.limit_bytes(); }

 private:
  Upstream& upstream_;
  ByteLimit limit_;
};

}  // namespace spillway::memory
