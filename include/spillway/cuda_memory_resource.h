// Any Spillway Resource as a memory resource of CCCL, and so of RAPIDS RMM: as the upstream of
// rmm::device_uvector, of RMM's own adaptors, of Thrust through rmm::mr::thrust_allocator.
//
// Needs the CCCL that RMM 26.10 brings (librmm-cu13), its folder before the toolkit's: the
// toolkit's own is older and has other concepts. Where RMM is there its exceptions are thrown and
// librmm.so is linked. This is the one place that throws, since the interface has no other way.
#pragma once

#include <cstddef>
#include <cuda/memory_resource>
#include <cuda/stream_ref>
#include <new>
#include <string>
#include <utility>

#include "spillway/memory/resource.h"

#if __has_include(<rmm/error.hpp>)
#include <rmm/error.hpp>
#endif

namespace spillway {

#if __has_include(<rmm/error.hpp>)
using AllocationFailed = rmm::bad_alloc;
using OutOfMemory = rmm::out_of_memory;  // what RMM's adaptors catch, to retry
#else
class AllocationFailed : public std::bad_alloc {
 public:
  explicit AllocationFailed(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};
class OutOfMemory : public AllocationFailed {
  using AllocationFailed::AllocationFailed;
};
#endif

// A reference: the resource outlives it and all copies of it, which are equal. Thread-safe where
// the resource is.
class CudaMemoryResource {
 public:
  template <memory::Resource R>
  explicit CudaMemoryResource(R& resource) : resource_(memory::AnyResource(resource)) {}
  explicit CudaMemoryResource(memory::AnyResource resource) : resource_(resource) {}

  // OutOfMemory: there is no room within the budget. AllocationFailed: an alignment above 256, the
  // per-thread default stream, a driver that failed.
  [[nodiscard]] void* allocate(cuda::stream_ref stream, std::size_t bytes,
                               std::size_t alignment = memory::kAlignment) {
    const Result<void*> pointer = resource_.allocate(Stream{stream.get()}, bytes, alignment);
    if (pointer) return *pointer;
    const Error& error = pointer.error();
    if (error.code == ErrorCode::kBudget) throw OutOfMemory(error.message);
    throw AllocationFailed(error.message);
  }
  void deallocate(cuda::stream_ref stream, void* pointer, std::size_t bytes,
                  std::size_t alignment = memory::kAlignment) noexcept {
    resource_.deallocate(Stream{stream.get()}, pointer, bytes, alignment);
  }

  // For every stream at once: what the default stream still did with it has ended.
  [[nodiscard]] void* allocate_sync(std::size_t bytes, std::size_t alignment = memory::kAlignment) {
    const cuda::stream_ref stream(cudaStream_t{nullptr});
    void* const pointer = allocate(stream, bytes, alignment);
    stream.sync();
    return pointer;
  }
  // Nothing uses it any more.
  void deallocate_sync(void* pointer, std::size_t bytes,
                       std::size_t alignment = memory::kAlignment) noexcept {
    deallocate(cuda::stream_ref(cudaStream_t{nullptr}), pointer, bytes, alignment);
  }

  bool operator==(const CudaMemoryResource&) const = default;
  friend constexpr void get_property(const CudaMemoryResource&,
                                     cuda::mr::device_accessible) noexcept {}

 private:
  memory::AnyResource resource_;
};

static_assert(cuda::mr::synchronous_resource_with<CudaMemoryResource, cuda::mr::device_accessible>);
static_assert(cuda::mr::resource_with<CudaMemoryResource, cuda::mr::device_accessible>);

}  // namespace spillway
