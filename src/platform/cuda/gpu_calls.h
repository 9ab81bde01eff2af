// A GPU of NVIDIA's behind the driver's functions, call by call. Thread-safe.
#pragma once

#include <memory>

#include "platform/cuda/context.h"
#include "platform/cuda/kernels.h"
#include "platform/gpu.h"

namespace spillway::platform {

inline CUdeviceptr device_pointer(const std::byte* at) {
  return reinterpret_cast<CUdeviceptr>(at);
}
inline CUdeviceptr flag_pointer(const uint32_t* flag) {
  return reinterpret_cast<CUdeviceptr>(flag);
}
inline CUstream native(Stream stream) {
  return static_cast<CUstream>(stream.native);
}
inline CUevent native(EventId event) {
  return static_cast<CUevent>(event.native);
}

class CudaGpu : public Gpu {
 public:
  CudaGpu(std::unique_ptr<CudaContext> context, GpuInfo info)
      : context_(std::move(context)),
        driver_(context_->driver()),
        info_(std::move(info)),
        kernels_(*context_) {}

  const GpuInfo& info() const override { return info_; }
  uint64_t driver_calls() const override { return context_->calls(); }
  Result<GpuMemory> memory() const override {
    size_t free = 0;
    size_t total = 0;
    SPILLWAY_TRY(context_->checked("cuMemGetInfo", driver_.mem_get_info, &free, &total));
    return GpuMemory{.free_bytes = free, .total_bytes = total};
  }

  Result<HandleId> create(size_t bytes, Place place) override;
  Result<void> release(HandleId handle) override {
    const CUmemGenericAllocationHandle native = handle.value;
    return context_->checked("cuMemRelease", driver_.mem_release, native);
  }
  Result<std::byte*> reserve(size_t bytes, size_t alignment) override;
  Result<void> free_addresses(std::byte* start, size_t bytes) override {
    return context_->checked("cuMemAddressFree", driver_.mem_address_free, device_pointer(start),
                             bytes);
  }
  Result<void> map(std::byte* at, size_t bytes, HandleId handle) override {
    SPILLWAY_TRY(check_size("map", bytes));
    const CUmemGenericAllocationHandle native = handle.value;
    return context_->checked("cuMemMap", driver_.mem_map, device_pointer(at), bytes, size_t{0},
                             native, 0ULL);
  }
  Result<void> allow_access(std::byte* at, size_t bytes, Place) override {
    return set_access(at, bytes, Place::kDevice);
  }
  Result<void> allow_cpu_access(std::byte* at, size_t bytes) override {
    return set_access(at, bytes, Place::kHost);
  }
  Result<void> unmap(std::byte* at, size_t bytes) override {
    SPILLWAY_TRY(check_size("unmap", bytes));
    return context_->checked("cuMemUnmap", driver_.mem_unmap, device_pointer(at), bytes);
  }
  Result<void> register_host(std::span<std::byte> range) override;
  Result<void> unregister_host(std::byte* start) override {
    return context_->checked("cuMemHostUnregister", driver_.mem_host_unregister,
                             static_cast<void*>(start));
  }

  Result<std::byte*> allocate_managed(size_t bytes) override;
  Result<void> free_managed(std::byte* start, size_t) override {
    return context_->checked("cuMemFree", driver_.mem_free, device_pointer(start));
  }
  Result<void> prefer(std::byte* at, size_t bytes, Place place) override;
  Result<void> prefetch(std::byte* at, size_t bytes, Place place, Stream stream) override;

  Result<Stream> create_stream() override {
    CUstream stream = nullptr;
    SPILLWAY_TRY(context_->checked("cuStreamCreate", driver_.stream_create, &stream,
                                   static_cast<unsigned>(CU_STREAM_NON_BLOCKING)));
    return Stream{stream};
  }
  Result<void> destroy_stream(Stream stream) override {
    if (stream.native == nullptr) {
      return fail(ErrorCode::kUsage, "destroy_stream: the null stream is not ours");
    }
    return context_->checked("cuStreamDestroy", driver_.stream_destroy, native(stream));
  }
  Result<void> synchronise(Stream stream) override {
    return context_->checked("cuStreamSynchronize", driver_.stream_synchronize, native(stream));
  }
  Result<EventId> create_event() override {
    CUevent event = nullptr;
    SPILLWAY_TRY(context_->checked("cuEventCreate", driver_.event_create, &event,
                                   static_cast<unsigned>(CU_EVENT_DISABLE_TIMING)));
    return EventId{event};
  }
  Result<void> destroy_event(EventId event) override {
    return context_->checked("cuEventDestroy", driver_.event_destroy, native(event));
  }
  Result<void> record(EventId event, Stream stream) override {
    return context_->checked("cuEventRecord", driver_.event_record, native(event), native(stream));
  }
  Result<bool> ended(EventId event) override {
    const CUresult result = context_->call(driver_.event_query, native(event));
    if (result == CUDA_ERROR_NOT_READY) return false;
    SPILLWAY_TRY(check(driver_, "cuEventQuery", result));
    return true;
  }
  Result<void> wait(EventId event) override {
    return context_->checked("cuEventSynchronize", driver_.event_synchronize, native(event));
  }
  Result<void> wait(Stream stream, EventId event) override {
    return context_->checked("cuStreamWaitEvent", driver_.stream_wait_event, native(stream),
                             native(event), 0U);
  }

  Result<void> write_flag(uint32_t* flag, uint32_t value, Stream stream) override {
    return context_->checked("cuStreamWriteValue32", driver_.stream_write_value, native(stream),
                             flag_pointer(flag), value, unsigned{CU_STREAM_WRITE_VALUE_DEFAULT});
  }
  Result<void> wait_flag(uint32_t* flag, uint32_t value, Stream stream) override {
    return context_->checked("cuStreamWaitValue32", driver_.stream_wait_value, native(stream),
                             flag_pointer(flag), value, unsigned{CU_STREAM_WAIT_VALUE_GEQ});
  }

  Result<void> copy(const CopyRequest& request, Stream stream) override {
    if (request.bytes == 0) return {};
    return context_->checked("cuMemcpyAsync", driver_.memcpy_async, device_pointer(request.to),
                             device_pointer(request.from), request.bytes, native(stream));
  }
  Result<void> copy(std::span<const CopyRequest> requests, Stream stream) override;
  Result<void> fill(std::byte* at, std::byte value, size_t bytes, Stream stream) override {
    if (bytes == 0) return {};
    return context_->checked("cuMemsetD8Async", driver_.memset_d8_async, device_pointer(at),
                             std::to_integer<unsigned char>(value), bytes, native(stream));
  }
  Result<void> launch(const Kernel& kernel, LaunchShape shape,
                      std::span<const KernelArgument> arguments, Stream stream) override;

 private:
  Result<void> set_access(std::byte* at, size_t bytes, Place who);
  Result<void> check_size(const char* call, size_t bytes) const {
    if (bytes != 0 && bytes % info_.granularity == 0) return {};
    return fail(ErrorCode::kUsage, "{}: {} bytes are not a multiple of the granularity, {}", call,
                bytes, info_.granularity);
  }

  const std::unique_ptr<CudaContext> context_;
  const Driver& driver_;
  const GpuInfo info_;
  CudaKernels kernels_;
};

}  // namespace spillway::platform
