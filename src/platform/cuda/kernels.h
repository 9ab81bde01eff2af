// The kernels of a GPU: images are loaded when one of their kernels is first launched, and stay.
// Owned by its Gpu; thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "platform/cuda/context.h"
#include "platform/gpu.h"

namespace spillway::platform {

class CudaKernels {
 public:
  explicit CudaKernels(const CudaContext& context) : context_(context) {}
  ~CudaKernels();
  CudaKernels(const CudaKernels&) = delete;
  CudaKernels& operator=(const CudaKernels&) = delete;

  Result<CUfunction> find(const Kernel& kernel);

 private:
  Result<CUmodule> load(const Kernel& kernel);

  const CudaContext& context_;
  std::mutex mutex_;  // of the maps; never held while the driver is called
  std::map<const std::byte*, CUmodule> modules_;  // by the start of the image
  std::map<std::pair<const std::byte*, std::string>, CUfunction> functions_;
};

}  // namespace spillway::platform
