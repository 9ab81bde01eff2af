// cuda_memory_resource.h without RMM: CCCL alone, and std::bad_alloc with a text. Compiled only.
#include <new>
#include <string>
#include <type_traits>

#include "spillway/cuda_memory_resource.h"

static_assert(std::is_base_of_v<std::bad_alloc, spillway::OutOfMemory>);
static_assert(std::is_constructible_v<spillway::OutOfMemory, std::string>, "with a text");

cuda::mr::any_resource<cuda::mr::device_accessible> as_any(spillway::memory::AnyResource resource) {
  return spillway::CudaMemoryResource(resource);
}
