#include "platform/cuda/driver.h"

#include <dlfcn.h>

#include <array>

namespace spillway::platform {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

struct Advice {
  CUresult result;
  const char* text;
};

constexpr const char* kRestart = "the GPU's context is lost: restart the program";

constexpr std::array kAdvice{
    Advice{CUDA_ERROR_OUT_OF_MEMORY, "lower the budget, or end what else uses it (nvidia-smi)"},
    Advice{CUDA_ERROR_STUB_LIBRARY,
           "this libcuda.so.1 is the toolkit's stub: put the driver's folder first in the "
           "library path"},
    Advice{CUDA_ERROR_DEVICE_UNAVAILABLE,
           "another process holds the GPU, or its compute mode forbids us (nvidia-smi -q -d "
           "COMPUTE): end it or set the mode to default"},
    Advice{CUDA_ERROR_NO_DEVICE, "no NVIDIA GPU is there, or CUDA_VISIBLE_DEVICES hides it"},
    Advice{CUDA_ERROR_SYSTEM_NOT_READY, "start the fabric manager (nvidia-fabricmanager)"},
    Advice{CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
           "the driver's library and its kernel module differ: restart the machine"},
    Advice{CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE,
           "this GPU takes no forward compatibility libraries: update the driver"},
    Advice{CUDA_ERROR_NO_BINARY_FOR_GPU,
           "the kernels were not built for this GPU: build them for it"},
    Advice{CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "update the driver"},
    Advice{CUDA_ERROR_ECC_UNCORRECTABLE, "the GPU's memory is damaged: reset it"},
    Advice{CUDA_ERROR_NOT_PERMITTED, "this process may not: see the container's rights"},
    Advice{CUDA_ERROR_UNKNOWN, "is the kernel module loaded (nvidia-smi)?"},
    Advice{CUDA_ERROR_ILLEGAL_ADDRESS, kRestart},
    Advice{CUDA_ERROR_LAUNCH_TIMEOUT, kRestart},
    Advice{CUDA_ERROR_CONTEXT_IS_DESTROYED, kRestart},
    Advice{CUDA_ERROR_ASSERT, kRestart},
    Advice{CUDA_ERROR_HARDWARE_STACK_ERROR, kRestart},
    Advice{CUDA_ERROR_ILLEGAL_INSTRUCTION, kRestart},
    Advice{CUDA_ERROR_MISALIGNED_ADDRESS, kRestart},
    Advice{CUDA_ERROR_INVALID_PC, kRestart},
    Advice{CUDA_ERROR_LAUNCH_FAILED, kRestart},
};

// What the driver says where we used it wrongly.
bool is_misuse(CUresult result) {
  return result == CUDA_ERROR_INVALID_VALUE || result == CUDA_ERROR_INVALID_HANDLE ||
         result == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED ||
         result == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

template <typename Function>
Result<void> find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function != nullptr) return {};
  return fail(ErrorCode::kMachine,
              "the NVIDIA driver is too old: {} has no {}; update it to one for CUDA 12 or newer",
              kLibrary, name);
}

// A function as it was in that version of CUDA; null if the driver has none.
template <typename Function>
Function find_version(const Driver& driver, const char* name, int version) {
  void* function = nullptr;
  CUdriverProcAddressQueryResult found{};
  const CUresult result =
      driver.get_proc_address(name, &function, version, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &found);
  const bool there = result == CUDA_SUCCESS && found == CU_GET_PROC_ADDRESS_SUCCESS;
  return there ? reinterpret_cast<Function>(function) : nullptr;
}

}  // namespace

Result<void> check(const Driver& driver, const char* function, CUresult result) {
  if (result == CUDA_SUCCESS) return {};
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver.get_error_name(result, &name) != CUDA_SUCCESS) name = "an error that has no name";
  if (driver.get_error_string(result, &text) != CUDA_SUCCESS) text = "no description";
  const char* advice = "";
  for (const Advice& candidate : kAdvice) {
    if (candidate.result == result) advice = candidate.text;
  }
  return fail(is_misuse(result) ? ErrorCode::kUsage : ErrorCode::kMachine,
              "{} failed with {} ({}), {}{}{}", function, name, static_cast<int>(result), text,
              *advice != '\0' ? "; " : "", advice);
}

Result<Driver> open_driver() {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return fail(ErrorCode::kMachine,
                "there is no NVIDIA driver here ({}): install it, or give the container access to "
                "the GPU",
                dlerror());
  }
  Driver driver;
#define SPILLWAY_NAME(function) #function
#define SPILLWAY_FIND(member, function) \
  SPILLWAY_TRY(find(library, SPILLWAY_NAME(function), driver.member));
  SPILLWAY_CUDA_FUNCTIONS(SPILLWAY_FIND)
#undef SPILLWAY_FIND
#undef SPILLWAY_NAME
  SPILLWAY_TRY(check(driver, "cuDriverGetVersion", driver.driver_get_version(&driver.version)));
  SPILLWAY_TRY(check(driver, "cuInit", driver.init(0)));
  if (driver.version >= 12020) {
    driver.advise = find_version<Driver::Advise>(driver, "cuMemAdvise", 12020);
    driver.prefetch = find_version<Driver::Prefetch>(driver, "cuMemPrefetchAsync", 12020);
  }
  if (driver.version >= 13000) {
    driver.copy_batch_13 = find_version<Driver::CopyBatch13>(driver, "cuMemcpyBatchAsync", 13000);
  } else if (driver.version >= 12080) {
    driver.copy_batch_12 = find_version<Driver::CopyBatch12>(driver, "cuMemcpyBatchAsync", 12080);
  }
  return driver;
}

}  // namespace spillway::platform
