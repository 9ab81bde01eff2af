// Batches of copies, and launches.
#include <vector>

#include "base/result.h"
#include "platform/cuda/gpu_calls.h"

namespace spillway::platform {

Result<void> CudaGpu::copy(std::span<const CopyRequest> requests, Stream stream) {
  const bool can_batch = driver_.copy_batch_12 != nullptr || driver_.copy_batch_13 != nullptr;
  // The driver takes no batch on the legacy default stream, whichever of its two names it has.
  const bool legacy = stream.native == nullptr || native(stream) == CU_STREAM_LEGACY;
  if (!can_batch || legacy || requests.size() < 2) {
    for (const CopyRequest& request : requests) SPILLWAY_TRY(copy(request, stream));
    return {};
  }
  std::vector<CUdeviceptr> to;
  std::vector<CUdeviceptr> from;
  std::vector<size_t> bytes;
  for (const CopyRequest& request : requests) {
    if (request.bytes == 0) continue;
    to.push_back(device_pointer(request.to));
    from.push_back(device_pointer(request.from));
    bytes.push_back(request.bytes);
  }
  if (to.empty()) return {};
  CUmemcpyAttributes attributes{};
  attributes.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  size_t first = 0;  // the attributes count from this copy on
  if (driver_.copy_batch_13 != nullptr) {
    return context_->checked("cuMemcpyBatchAsync", driver_.copy_batch_13, to.data(), from.data(),
                             bytes.data(), to.size(), &attributes, &first, size_t{1},
                             native(stream));
  }
  size_t failed = 0;
  return context_->checked("cuMemcpyBatchAsync", driver_.copy_batch_12, to.data(), from.data(),
                           bytes.data(), to.size(), &attributes, &first, size_t{1}, &failed,
                           native(stream));
}

Result<void> CudaGpu::launch(const Kernel& kernel, LaunchShape shape,
                             std::span<const KernelArgument> arguments, Stream stream) {
  SPILLWAY_ASSIGN(const CUfunction function, kernels_.find(kernel));
  std::vector<void*> pointers;
  for (const KernelArgument& argument : arguments) {
    pointers.push_back(const_cast<KernelArgument*>(&argument));  // which the driver only reads
  }
  void** extra = nullptr;
  return context_->checked(kernel.name, driver_.launch_kernel, function, shape.blocks, 1U, 1U,
                           shape.threads, 1U, 1U, 0U, native(stream), pointers.data(), extra);
}

}  // namespace spillway::platform
