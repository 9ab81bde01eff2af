// A Resource of ordinary memory with a capacity, which knows what it has given out. Thread-safe.
#pragma once

#include <cstdlib>
#include <map>
#include <mutex>

#include "base/check.h"
#include "base/result.h"
#include "base/units.h"
#include "spillway/memory/resource.h"

namespace spillway::test {

class PlainResource {
 public:
  explicit PlainResource(size_t capacity_bytes = kGiB) : capacity_bytes_(capacity_bytes) {}
  ~PlainResource() {
    for (const auto& [pointer, bytes] : live_) std::free(pointer);
  }
  PlainResource(const PlainResource&) = delete;
  PlainResource& operator=(const PlainResource&) = delete;

  Result<void*> allocate(Stream, size_t bytes, size_t alignment = memory::kAlignment) {
    SPILLWAY_TRY(memory::check_alignment(alignment));
    if (bytes == 0) return nullptr;
    const std::lock_guard lock(mutex_);
    const size_t size = memory::aligned_size(bytes);
    if (size > capacity_bytes_ - held_bytes_) {
      return fail(ErrorCode::kBudget, "there is no room for {}", format_size(bytes));
    }
    void* const pointer = std::aligned_alloc(memory::kAlignment, size);
    SPILLWAY_CHECK(pointer != nullptr);
    live_[pointer] = bytes;
    held_bytes_ += size;
    return pointer;
  }

  void deallocate(Stream, void* pointer, size_t bytes, size_t = memory::kAlignment) noexcept {
    if (pointer == nullptr) return;
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(pointer);
    SPILLWAY_CHECK(found != live_.end() && found->second == bytes);
    live_.erase(found);
    held_bytes_ -= memory::aligned_size(bytes);
    std::free(pointer);
  }

  size_t held_bytes() const {
    const std::lock_guard lock(mutex_);
    return held_bytes_;
  }

 private:
  const size_t capacity_bytes_;
  mutable std::mutex mutex_;
  std::map<void*, size_t> live_;
  size_t held_bytes_ = 0;
};
static_assert(memory::Resource<PlainResource>);

}  // namespace spillway::test
