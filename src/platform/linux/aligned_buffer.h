// A small buffer at an aligned address, for O_DIRECT. Move-only value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

#include "base/result.h"
#include "base/units.h"

namespace spillway::platform {

class AlignedBuffer {
 public:
  // alignment: a power of two.
  static Result<AlignedBuffer> make(size_t size, size_t alignment) {
    alignment = std::max(alignment, alignof(std::max_align_t));
    AlignedBuffer buffer(::operator new (size, std::align_val_t{alignment}, std::nothrow), size,
                         alignment);
    if (!buffer.memory_) {
      return fail(ErrorCode::kMachine, "no memory for a buffer of {}", format_size(size));
    }
    return buffer;
  }

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_.get()), size_}; }

 private:
  struct Free {
    size_t alignment;
    void operator()(void* memory) const { ::operator delete (memory, std::align_val_t{alignment}); }
  };
  AlignedBuffer(void* memory, size_t size, size_t alignment)
      : memory_(memory, Free{alignment}), size_(size) {}

  std::unique_ptr<void, Free> memory_;
  size_t size_;
};

}  // namespace spillway::platform
