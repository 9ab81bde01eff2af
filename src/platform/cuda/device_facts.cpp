#include "platform/cuda/device_facts.h"

#include <algorithm>
#include <array>

#include "base/units.h"

namespace spillway::platform {
namespace {

// What the driver takes of a GPU's memory for a process: 500 to 600 MB on H100 with drivers 550 to
// 580, less on smaller GPUs. Assumed where other programs use the GPU too, so that it does not
// show.
constexpr uint64_t kUsualContextBytes = 600 * kMiB;
// What it takes later, for modules, streams and events: 28 and 75 MiB were seen.
constexpr uint64_t kLaterBytes = 128 * kMiB;
constexpr uint64_t kMostContextBytes = kGiB;

Result<int> attribute(const Driver& driver, CUdevice device, CUdevice_attribute attribute) {
  int value = 0;
  SPILLWAY_TRY(check(driver, "cuDeviceGetAttribute",
                     driver.device_get_attribute(&value, attribute, device)));
  return value;
}

// Of attributes that older drivers do not know.
int attribute_or(const Driver& driver, CUdevice device, CUdevice_attribute attribute, int other) {
  int value = 0;
  return driver.device_get_attribute(&value, attribute, device) == CUDA_SUCCESS ? value : other;
}

Result<std::string> name_of(const Driver& driver, CUdevice device) {
  std::array<char, 128> name{};
  SPILLWAY_TRY(check(driver, "cuDeviceGetName",
                     driver.device_get_name(name.data(), static_cast<int>(name.size()), device)));
  return std::string(name.data());
}

Result<size_t> granularity_of(const CudaContext& context, Place place, int host_node) {
  const auto properties = properties_of(place, context.device(), host_node);
  size_t granularity = 0;
  SPILLWAY_TRY(context.checked("cuMemGetAllocationGranularity",
                               context.driver().mem_get_granularity, &granularity, &properties,
                               CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  return granularity;
}

// Makes one handle in host memory, maps it for the GPU and the CPU, touches it, and undoes it all.
bool host_handles_work(const CudaContext& context, size_t bytes, int host_node) {
  const Driver& driver = context.driver();
  const auto properties = properties_of(Place::kHost, context.device(), host_node);
  CUmemGenericAllocationHandle handle = 0;
  if (context.call(driver.mem_create, &handle, bytes, &properties, 0ULL) != CUDA_SUCCESS) {
    return false;
  }
  CUdeviceptr at = 0;
  bool works = context.call(driver.mem_address_reserve, &at, bytes, bytes, CUdeviceptr{0}, 0ULL) ==
               CUDA_SUCCESS;
  if (works) {
    works = context.call(driver.mem_map, at, bytes, size_t{0}, handle, 0ULL) == CUDA_SUCCESS;
    if (works) {
      std::array<CUmemAccessDesc, 2> access{};
      access[0].location = location_of(Place::kDevice, context.device(), host_node);
      access[1].location = properties.location;
      for (auto& entry : access) entry.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
      works = context.call(driver.mem_set_access, at, bytes, access.data(), access.size()) ==
              CUDA_SUCCESS;
      if (works) *reinterpret_cast<volatile char*>(at) = 1;
      static_cast<void>(context.call(driver.mem_unmap, at, bytes));
    }
    static_cast<void>(context.call(driver.mem_address_free, at, bytes));
  }
  static_cast<void>(context.call(driver.mem_release, handle));
  return works;
}

}  // namespace

CUmemLocation location_of(Place place, CUdevice device, int host_node) {
  CUmemLocation location{};
  location.type =
      place == Place::kDevice ? CU_MEM_LOCATION_TYPE_DEVICE : CU_MEM_LOCATION_TYPE_HOST_NUMA;
  // A machine without NUMA has one node, 0, though the driver calls it unknown.
  location.id = place == Place::kDevice ? device : std::max(host_node, 0);
  return location;
}

CUmemLocation managed_location_of(Place place, CUdevice device, int host_node) {
  CUmemLocation location = location_of(place, device, host_node);
  if (place == Place::kHost && host_node < 0) {
    location.type = CU_MEM_LOCATION_TYPE_HOST;
    location.id = 0;
  }
  return location;
}

CUmemAllocationProp properties_of(Place place, CUdevice device, int host_node) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = location_of(place, device, host_node);
  return properties;
}

Result<void> check_usable(const Driver& driver, CUdevice device) {
  SPILLWAY_ASSIGN(const std::string name, name_of(driver, device));
  SPILLWAY_ASSIGN(const int major,
                  attribute(driver, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR));
  SPILLWAY_ASSIGN(const int minor,
                  attribute(driver, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
  if (major < 7) {
    return fail(ErrorCode::kMachine,
                "{} is too old: it has compute capability {}.{}, 7.0 or more is needed; choose "
                "another GPU (CUDA_VISIBLE_DEVICES)",
                name, major, minor);
  }
  struct Need {
    CUdevice_attribute attribute;
    const char* what;
  };
  constexpr std::array kNeeds{Need{CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, "unified addressing"},
                              Need{CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
                                   "virtual memory management (cuMemMap)"},
                              Need{CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM,
                                   "host memory under its own addresses"}};
  for (const auto& [needed, what] : kNeeds) {
    if (attribute_or(driver, device, needed, 0) == 0) {
      return fail(ErrorCode::kMachine,
                  "{} has no {} with this driver (for CUDA {}.{}): update the driver, or use the "
                  "GPU outside of a virtual machine that hides it",
                  name, what, driver.version / 1000, driver.version % 1000 / 10);
    }
  }
  return {};
}

Result<GpuInfo> ask_info(const CudaContext& context, int ordinal) {
  const Driver& driver = context.driver();
  const CUdevice device = context.device();
  size_t free = 0;
  size_t total = 0;
  // Before anything else is made in the context: what is gone now, the context took.
  SPILLWAY_TRY(context.checked("cuMemGetInfo", driver.mem_get_info, &free, &total));
  GpuInfo info;
  info.ordinal = ordinal;
  info.total_bytes = total;
  info.context_bytes =
      (total - free < kMostContextBytes ? total - free : kUsualContextBytes) + kLaterBytes;
  SPILLWAY_ASSIGN(info.name, name_of(driver, device));
  const auto number = [&](CUdevice_attribute wanted) {
    return static_cast<unsigned>(std::max(attribute_or(driver, device, wanted, 0), 0));
  };
  info.compute_major = number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  info.compute_minor = number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info.multiprocessors = number(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.driver_version = driver.version;
  info.pageable_access = number(CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS) != 0;
  info.coherent = number(CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES) != 0;
  info.managed = driver.advise != nullptr && driver.prefetch != nullptr &&
                 number(CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS) != 0;
  info.host_node = attribute_or(driver, device, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, -1);
  if (number(CU_DEVICE_ATTRIBUTE_NUMA_CONFIG) == CU_DEVICE_NUMA_CONFIG_NUMA_NODE) {
    info.device_node = attribute_or(driver, device, CU_DEVICE_ATTRIBUTE_NUMA_ID, -1);
  }
  SPILLWAY_ASSIGN(info.granularity, granularity_of(context, Place::kDevice, info.host_node));
  if (number(CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) != 0) {
    const auto host_granularity = granularity_of(context, Place::kHost, info.host_node);
    const size_t both = std::max(info.granularity, host_granularity.value_or(0));
    info.host_handles = host_granularity && host_handles_work(context, both, info.host_node);
    if (info.host_handles) info.granularity = both;
  }
  return info;
}

}  // namespace spillway::platform
