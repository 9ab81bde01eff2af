// Checks of the GPUs and their driver.
#include "machine/doctor_checks.h"

namespace spillway::machine {
namespace {

// Versions of CUDA that a driver is for, as cuDriverGetVersion tells them, and the first driver of
// each (CUDA toolkit release notes, table of drivers).
constexpr int kCopiesInBatches = 12080;     // cuMemcpyBatchAsync; 570
constexpr int kHostHandlesAreTold = 12090;  // the attribute of HOST_NUMA handles; 575
constexpr const char* kNoGpu = "models then run from host memory and disk alone";
constexpr const char* kAsk = "nvidia-smi says whether the driver works; then as the message says";
constexpr const char* kUpdate =
    "install driver 580 or newer (NVIDIA's package repository: sudo apt install nvidia-open), and "
    "restart";

std::string text_of_version(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// The driver is one for all GPUs: the first that can be used tells it.
const platform::GpuInfo* first_usable(const Facts& facts) {
  for (const auto& gpu : facts.gpus) {
    if (gpu) return &*gpu;
  }
  return nullptr;
}

}  // namespace

Findings check_gpus_usable(const Facts& facts) {
  Findings findings;
  // A machine without a GPU lacks nothing; one whose driver is loaded was meant to have one.
  if (!facts.why_no_gpus.empty() && !facts.host.nvidia_module.empty()) {
    findings.push_back(
        {.name = "gpu-unusable",
         .severity = Severity::kBroken,
         .what = fmt::format("NVIDIA's kernel module {} is loaded, but no GPU can be used: {}",
                             facts.host.nvidia_module, facts.why_no_gpus),
         .why = kNoGpu,
         .mend = kAsk});
  }
  for (size_t i = 0; i < facts.gpus.size(); ++i) {
    if (facts.gpus[i]) continue;
    findings.push_back(
        {.name = "gpu-unusable",
         .severity = Severity::kBroken,
         .what = fmt::format("GPU {} cannot be used: {}", i, facts.gpus[i].error().message),
         .why = kNoGpu,
         .mend = kAsk});
  }
  return findings;
}

Findings check_driver(const Facts& facts) {
  const platform::GpuInfo* gpu = first_usable(facts);
  if (gpu == nullptr || gpu->driver_version == 0 || gpu->driver_version >= kCopiesInBatches) {
    return {};
  }
  return {
      {.name = "old-driver",
       .what = fmt::format("the driver{} is one for CUDA {}",
                           facts.host.nvidia_module.empty() ? "" : " " + facts.host.nvidia_module,
                           text_of_version(gpu->driver_version)),
       .why = "before CUDA 12.8 (driver 570) it has no copies in batches: each of many small "
              "moves is a call of its own",
       .mend = kUpdate}};
}

Findings check_host_handles(const Facts& facts) {
  Findings findings;
  for (const auto& gpu : facts.gpus) {
    if (!gpu || gpu->host_handles) continue;
    const bool old = gpu->driver_version > 0 && gpu->driver_version < kHostHandlesAreTold;
    std::string mend = "in a container: docker run --cap-add SYS_NICE, which allows NUMA calls";
    if (facts.host.wsl) mend = "start Linux without Windows";
    if (old) mend = kUpdate;
    findings.push_back(
        {.name = "host-handles",
         .what =
             fmt::format("GPU {} ({}): the driver, for CUDA {}, makes no handles in host memory "
                         "here",
                         gpu->ordinal, gpu->name, text_of_version(gpu->driver_version)),
         .why = old ? "a region lies all in HBM or all in host memory, and none moves between them "
                      "under its address; drivers for CUDA 12.9 (575) and newer can make them"
                    : "a region lies all in HBM or all in host memory, and none moves between them "
                      "under its address",
         .mend = mend});
  }
  return findings;
}

}  // namespace spillway::machine
