#include "platform/cuda_gpu.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "platform/cuda/context.h"
#include "platform/cuda/device_facts.h"
#include "platform/cuda/kernels.h"

namespace spillway::platform {
namespace {

CUdeviceptr device_pointer(const std::byte* at) {
  return reinterpret_cast<CUdeviceptr>(at);
}
CUstream native(Stream stream) {
  return static_cast<CUstream>(stream.native);
}
CUevent native(EventId event) {
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

Result<HandleId> CudaGpu::create(size_t bytes, Place place) {
  SPILLWAY_TRY(check_size("create", bytes));
  if (place == Place::kHost && !info_.host_handles) {
    return fail(ErrorCode::kUsage, "create: this GPU has no handles in host memory");
  }
  const auto properties = properties_of(place, context_->device(), info_.host_node);
  CUmemGenericAllocationHandle handle = 0;
  if (auto made =
          context_->checked("cuMemCreate", driver_.mem_create, &handle, bytes, &properties, 0ULL);
      !made) {
    return fail_within(
        fmt::format("{} bytes of {} memory", bytes, place == Place::kDevice ? "device" : "host"),
        std::move(made).error());
  }
  return HandleId{handle};
}

Result<std::byte*> CudaGpu::reserve(size_t bytes, size_t alignment) {
  SPILLWAY_TRY(check_size("reserve", bytes));
  if (alignment != 0 && !std::has_single_bit(alignment)) {
    return fail(ErrorCode::kUsage, "reserve: the alignment {} is not a power of two", alignment);
  }
  CUdeviceptr start = 0;
  const CUresult result =
      context_->call(driver_.mem_address_reserve, &start, bytes,
                     std::max(alignment, info_.granularity), CUdeviceptr{0}, 0ULL);
  if (auto reserved = check(driver_, "cuMemAddressReserve", result); !reserved) {
    // Sizes and alignments were right: there are not that many addresses, whatever it is called.
    reserved.error().code = ErrorCode::kMachine;
    return fail_within(fmt::format("{} bytes of addresses", bytes), std::move(reserved).error());
  }
  return reinterpret_cast<std::byte*>(start);
}

// Whoever is at `who` may read and write; the others as before.
Result<void> CudaGpu::set_access(std::byte* at, size_t bytes, Place who) {
  SPILLWAY_TRY(check_size("allow_access", bytes));
  const CUmemAccessDesc access{.location = location_of(who, context_->device(), info_.host_node),
                               .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  return context_->checked("cuMemSetAccess", driver_.mem_set_access, device_pointer(at), bytes,
                           &access, size_t{1});
}

Result<void> CudaGpu::register_host(std::span<std::byte> range) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const bool whole = reinterpret_cast<uintptr_t>(range.data()) % page == 0 &&
                     range.size() % page == 0 && !range.empty();
  if (!whole) {
    return fail(ErrorCode::kUsage, "register_host: {} bytes at {} are not whole pages of {}",
                range.size(), fmt::ptr(range.data()), page);
  }
  return context_->checked(
      "cuMemHostRegister", driver_.mem_host_register, static_cast<void*>(range.data()),
      range.size(),
      static_cast<unsigned>(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP));
}

Result<std::byte*> CudaGpu::allocate_managed(size_t bytes) {
  SPILLWAY_TRY(check_size("allocate_managed", bytes));
  if (!info_.managed) {
    return fail(ErrorCode::kUsage,
                "{} has no managed memory that the CPU and the GPU may use at once with this "
                "driver (for CUDA {}.{})",
                info_.name, driver_.version / 1000, driver_.version % 1000 / 10);
  }
  CUdeviceptr start = 0;
  SPILLWAY_TRY(context_->checked("cuMemAllocManaged", driver_.mem_alloc_managed, &start, bytes,
                                 static_cast<unsigned>(CU_MEM_ATTACH_GLOBAL)));
  return reinterpret_cast<std::byte*>(start);
}

Result<void> CudaGpu::prefer(std::byte* at, size_t bytes, Place place) {
  SPILLWAY_TRY(check_size("prefer", bytes));
  const auto where = managed_location_of(place, context_->device(), info_.host_node);
  SPILLWAY_TRY(context_->checked("cuMemAdvise", driver_.advise, device_pointer(at), bytes,
                                 CU_MEM_ADVISE_SET_PREFERRED_LOCATION, where));
  const auto gpu = managed_location_of(Place::kDevice, context_->device(), info_.host_node);
  return context_->checked("cuMemAdvise", driver_.advise, device_pointer(at), bytes,
                           CU_MEM_ADVISE_SET_ACCESSED_BY, gpu);
}

Result<void> CudaGpu::prefetch(std::byte* at, size_t bytes, Place place, Stream stream) {
  SPILLWAY_TRY(check_size("prefetch", bytes));
  return context_->checked("cuMemPrefetchAsync", driver_.prefetch, device_pointer(at), bytes,
                           managed_location_of(place, context_->device(), info_.host_node), 0U,
                           native(stream));
}

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

}  // namespace

Result<int> cuda_gpu_count() {
  auto driver = open_driver();
  if (!driver) return tl::make_unexpected(std::move(driver).error());
  int count = 0;
  SPILLWAY_TRY(check(*driver, "cuDeviceGetCount", driver->device_get_count(&count)));
  return count;
}

Result<std::unique_ptr<Gpu>> open_cuda_gpu(int ordinal) {
  SPILLWAY_ASSIGN(const Driver driver, open_driver());
  int count = 0;
  SPILLWAY_TRY(check(driver, "cuDeviceGetCount", driver.device_get_count(&count)));
  if (ordinal < 0 || ordinal >= count) {
    return fail(ErrorCode::kUsage, "there is no GPU {}: this machine shows {}, from 0 on", ordinal,
                count);
  }
  CUdevice device = 0;
  SPILLWAY_TRY(check(driver, "cuDeviceGet", driver.device_get(&device, ordinal)));
  SPILLWAY_TRY(check_usable(driver, device));
  SPILLWAY_ASSIGN(auto context, CudaContext::retain(driver, device));
  SPILLWAY_ASSIGN(auto info, ask_info(*context, ordinal));
  return std::make_unique<CudaGpu>(std::move(context), std::move(info));
}

}  // namespace spillway::platform
