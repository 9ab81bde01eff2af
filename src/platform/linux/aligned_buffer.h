// A small buffer at an aligned address, for O_DIRECT. Move-only value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/units.h"

namespace spillway::platform {

class AlignedBuffer {
 public:
  // alignment: a power of two.
  static Result<AlignedBuffer> make(size_t size, size_t alignment) {
    alignment = std::max(alignment, alignof(std::max_align_t));
    AlignedBuffer buffer(std::aligned_alloc(alignment, round_up(size, alignment)), size);
    if (!buffer.memory_) {
      return fail(ErrorCode::kMachine, "no memory for a buffer of {}", format_size(size));
    }
    return buffer;
  }

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_.get()), size_}; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  AlignedBuffer(void* memory, size_t size) : memory_(memory), size_(size) {}

  std::unique_ptr<void, Free> memory_;
  size_t size_;
};

}  // namespace spillway::platform
