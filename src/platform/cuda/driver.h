// The functions of NVIDIA's driver, found in libcuda.so.1 when it is opened. A value that is filled
// once and only read afterwards; any thread.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <memory>

#include "base/result.h"

namespace spillway::platform {

// X(member, function): cuda.h renames some functions to the version that its declaration means
// (cuMemGetInfo is cuMemGetInfo_v2), and the names that we look up have to follow.
#define SPILLWAY_CUDA_FUNCTIONS(X)                      \
  X(init, cuInit)                                       \
  X(driver_get_version, cuDriverGetVersion)             \
  X(get_error_name, cuGetErrorName)                     \
  X(get_error_string, cuGetErrorString)                 \
  X(get_proc_address, cuGetProcAddress)                 \
  X(device_get_count, cuDeviceGetCount)                 \
  X(device_get, cuDeviceGet)                            \
  X(device_get_name, cuDeviceGetName)                   \
  X(device_get_attribute, cuDeviceGetAttribute)         \
  X(device_total_mem, cuDeviceTotalMem)                 \
  X(primary_ctx_retain, cuDevicePrimaryCtxRetain)       \
  X(primary_ctx_release, cuDevicePrimaryCtxRelease)     \
  X(ctx_get_current, cuCtxGetCurrent)                   \
  X(ctx_push_current, cuCtxPushCurrent)                 \
  X(ctx_pop_current, cuCtxPopCurrent)                   \
  X(mem_get_info, cuMemGetInfo)                         \
  X(mem_get_granularity, cuMemGetAllocationGranularity) \
  X(mem_create, cuMemCreate)                            \
  X(mem_release, cuMemRelease)                          \
  X(mem_address_reserve, cuMemAddressReserve)           \
  X(mem_address_free, cuMemAddressFree)                 \
  X(mem_map, cuMemMap)                                  \
  X(mem_set_access, cuMemSetAccess)                     \
  X(mem_unmap, cuMemUnmap)                              \
  X(mem_host_register, cuMemHostRegister)               \
  X(mem_host_unregister, cuMemHostUnregister)           \
  X(mem_alloc_managed, cuMemAllocManaged)               \
  X(mem_free, cuMemFree)                                \
  X(stream_create, cuStreamCreate)                      \
  X(stream_destroy, cuStreamDestroy)                    \
  X(stream_synchronize, cuStreamSynchronize)            \
  X(stream_wait_event, cuStreamWaitEvent)               \
  X(stream_write_value, cuStreamWriteValue32)           \
  X(stream_wait_value, cuStreamWaitValue32)             \
  X(event_create, cuEventCreate)                        \
  X(event_destroy, cuEventDestroy)                      \
  X(event_record, cuEventRecord)                        \
  X(event_query, cuEventQuery)                          \
  X(event_synchronize, cuEventSynchronize)              \
  X(memcpy_async, cuMemcpyAsync)                        \
  X(memset_d8_async, cuMemsetD8Async)                   \
  X(module_load_data, cuModuleLoadData)                 \
  X(module_unload, cuModuleUnload)                      \
  X(module_get_function, cuModuleGetFunction)           \
  X(launch_kernel, cuLaunchKernel)

struct Driver {
#define SPILLWAY_DECLARE(member, function) decltype(&(function)) member = nullptr;
  SPILLWAY_CUDA_FUNCTIONS(SPILLWAY_DECLARE)
#undef SPILLWAY_DECLARE

  // Copies of a batch, whose signature CUDA 13.0 changed: at most one is there, none before 12.8.
  using CopyBatch12 = CUresult (*)(CUdeviceptr* to, CUdeviceptr* from, size_t* bytes, size_t count,
                                   CUmemcpyAttributes* attributes, size_t* attribute_starts,
                                   size_t attribute_count, size_t* failed, CUstream stream);
  using CopyBatch13 = CUresult (*)(CUdeviceptr* to, CUdeviceptr* from, size_t* bytes, size_t count,
                                   CUmemcpyAttributes* attributes, size_t* attribute_starts,
                                   size_t attribute_count, CUstream stream);
  CopyBatch12 copy_batch_12 = nullptr;
  CopyBatch13 copy_batch_13 = nullptr;

  // Managed memory by location; null before 12.2.
  using Advise = CUresult (*)(CUdeviceptr at, size_t bytes, CUmem_advise advice,
                              CUmemLocation location);
  using Prefetch = CUresult (*)(CUdeviceptr at, size_t bytes, CUmemLocation location,
                                unsigned flags, CUstream stream);
  Advise advise = nullptr;
  Prefetch prefetch = nullptr;

  int version = 0;  // 13000: CUDA 13.0
};

// Opens the library and initialises it. It stays open for good: the driver's threads do not survive
// its being closed.
Result<Driver> open_driver();

// What a function said, as our error: success is success.
Result<void> check(const Driver& driver, const char* function, CUresult result);

}  // namespace spillway::platform
