// The primary context of a GPU and how it is called: each call makes the context the thread's
// current one, for its own time, and counts. Owned by its Gpu; thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "platform/cuda/driver.h"

namespace spillway::platform {

class CudaContext {
 public:
  static Result<std::unique_ptr<CudaContext>> retain(const Driver& driver, CUdevice device);
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  // What the driver says.
  template <typename Function, typename... Arguments>
  CUresult call(Function function, Arguments... arguments) const {
    const Current current(*this);
    if (current.result() != CUDA_SUCCESS) return current.result();
    calls_.fetch_add(1, std::memory_order_relaxed);
    return function(arguments...);
  }
  // The same, as a Result; `name` is the function's, for the error.
  template <typename Function, typename... Arguments>
  Result<void> checked(const char* name, Function function, Arguments... arguments) const {
    return check(driver_, name, call(function, arguments...));
  }

  const Driver& driver() const { return driver_; }
  CUdevice device() const { return device_; }
  // Without those that only switch the context.
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }

 private:
  // While it lives, the context is the thread's current one. The program may use others: what was
  // current before comes back.
  class Current {
   public:
    explicit Current(const CudaContext& context);
    ~Current();
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    CUresult result() const { return result_; }

   private:
    const Driver& driver_;
    CUresult result_ = CUDA_SUCCESS;
    bool pushed_ = false;
  };

  CudaContext(const Driver& driver, CUdevice device, CUcontext context)
      : driver_(driver), device_(device), context_(context) {}

  const Driver driver_;
  const CUdevice device_;
  const CUcontext context_;
  mutable std::atomic<uint64_t> calls_ = 0;
};

}  // namespace spillway::platform
