#include "platform/cuda_gpu.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "platform/cuda/device_facts.h"
#include "platform/cuda/gpu_calls.h"

namespace spillway::platform {

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
