#include "platform/cuda/context.h"

namespace spillway::platform {

CudaContext::Current::Current(const CudaContext& context) : driver_(context.driver_) {
  CUcontext before = nullptr;
  result_ = driver_.ctx_get_current(&before);
  if (result_ != CUDA_SUCCESS || before == context.context_) return;
  result_ = driver_.ctx_push_current(context.context_);
  pushed_ = result_ == CUDA_SUCCESS;
}

CudaContext::Current::~Current() {
  CUcontext popped = nullptr;
  if (pushed_) driver_.ctx_pop_current(&popped);
}

Result<std::unique_ptr<CudaContext>> CudaContext::retain(const Driver& driver, CUdevice device) {
  CUcontext context = nullptr;
  SPILLWAY_TRY(
      check(driver, "cuDevicePrimaryCtxRetain", driver.primary_ctx_retain(&context, device)));
  return std::unique_ptr<CudaContext>(new CudaContext(driver, device, context));
}

CudaContext::~CudaContext() {
  // A lost device may refuse; there is nothing to be done about it.
  static_cast<void>(driver_.primary_ctx_release(device_));
}

}  // namespace spillway::platform
