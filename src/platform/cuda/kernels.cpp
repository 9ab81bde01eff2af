#include "platform/cuda/kernels.h"

namespace spillway::platform {

CudaKernels::~CudaKernels() {
  for (const auto& [image, module] : modules_) {
    static_cast<void>(context_.call(context_.driver().module_unload, module));
  }
}

Result<CUmodule> CudaKernels::load(const Kernel& kernel) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = modules_.find(kernel.image.data());
    if (found != modules_.end()) return found->second;
  }
  CUmodule module = nullptr;
  const void* image = kernel.image.data();
  SPILLWAY_TRY(
      context_.checked("cuModuleLoadData", context_.driver().module_load_data, &module, image));
  std::unique_lock lock(mutex_);
  const auto [entry, added] = modules_.emplace(kernel.image.data(), module);
  const CUmodule kept = entry->second;
  lock.unlock();
  // Another thread was faster.
  if (!added) static_cast<void>(context_.call(context_.driver().module_unload, module));
  return kept;
}

Result<CUfunction> CudaKernels::find(const Kernel& kernel) {
  if (kernel.name == nullptr || kernel.image.empty()) {
    return fail(ErrorCode::kMachine,
                "the kernel {} was not built: build the program where CMake finds nvcc",
                kernel.name != nullptr ? kernel.name : "without a name");
  }
  const std::pair key(kernel.image.data(), std::string(kernel.name));
  {
    const std::lock_guard lock(mutex_);
    const auto found = functions_.find(key);
    if (found != functions_.end()) return found->second;
  }
  SPILLWAY_ASSIGN(const CUmodule module, load(kernel));
  CUfunction function = nullptr;
  SPILLWAY_TRY(context_.checked(kernel.name, context_.driver().module_get_function, &function,
                                module, kernel.name));
  const std::lock_guard lock(mutex_);
  functions_.emplace(key, function);
  return function;
}

}  // namespace spillway::platform
