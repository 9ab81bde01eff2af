// What allocators and adaptors share: memory that is handed out and taken back in stream order. The
// words are those of RAPIDS RMM and CCCL, the errors are values. Adaptors (adaptors/) wrap any
// Resource and are Resources themselves.
#pragma once

#include <concepts>
#include <cstddef>
#include <limits>

#include "spillway/types.h"

namespace spillway::memory {

// Addresses are multiples of it, and accounts count in it, as CUDA's own allocations do.
inline constexpr size_t kAlignment = 256;

// What `bytes` take: whole units of kAlignment. The most that there is where that would wrap.
constexpr size_t aligned_size(size_t bytes) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max() - (kAlignment - 1);
  return bytes > kMost ? kMost : (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// kUsage: not a power of two, or more than kAlignment.
Result<void> check_alignment(size_t alignment);

// Memory in stream order: what allocate() returns may be used by work that is put into `stream`
// afterwards; what deallocate() takes may still be in use by work that is in `stream` already.
//
// As with RMM's resources, 0 bytes are a null pointer, and deallocate() ignores null pointers.
// `bytes` and `alignment` of deallocate() are those of allocate(); the stream may be
// another.
template <typename R>
concept Resource = requires(R& resource, Stream stream, void* pointer, size_t bytes,
                            size_t alignment) {
  { resource.allocate(stream, bytes, alignment) } -> std::same_as<Result<void*>>;
  { resource.deallocate(stream, pointer, bytes, alignment) }
  noexcept->std::same_as<void>;
};

// A reference to a Resource of any type, which outlives it: where the type is known at run time
// only. Equal where it is the same resource. Value; thread-safe where the resource is.
class AnyResource {
 public:
  template <typename R>
  requires(!std::same_as<R, AnyResource> && Resource<R>) explicit AnyResource(R& resource)
      : resource_(&resource),
        allocate_([](void* self, Stream stream, size_t bytes, size_t alignment) {
          return static_cast<R*>(self)->allocate(stream, bytes, alignment);
        }),
        deallocate_(
            [](void* self, Stream stream, void* pointer, size_t bytes, size_t alignment) noexcept {
              static_cast<R*>(self)->deallocate(stream, pointer, bytes, alignment);
            }) {}

  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment) const {
    return allocate_(resource_, stream, bytes, alignment);
  }
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) const noexcept {
    deallocate_(resource_, stream, pointer, bytes, alignment);
  }
  bool operator==(const AnyResource& other) const { return resource_ == other.resource_; }

 private:
  void* resource_;
  Result<void*> (*allocate_)(void* self, Stream stream, size_t bytes, size_t alignment);
  void (*deallocate_)(void* self, Stream stream, void* pointer, size_t bytes,
                      size_t alignment) noexcept;
};
static_assert(Resource<AnyResource>);

}  // namespace spillway::memory
