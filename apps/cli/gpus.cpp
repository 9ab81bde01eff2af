#include "cli/gpus.h"

#include <nlohmann/json.hpp>

#include "base/units.h"
#include "platform/cuda_gpu.h"

namespace spillway::cli {
namespace {

Result<platform::GpuInfo> ask_gpu(int ordinal) {
  SPILLWAY_ASSIGN(const auto gpu, platform::open_cuda_gpu(ordinal));
  return gpu->info();
}

// "13.0" of 13000.
std::string cuda_version(const platform::GpuInfo& gpu) {
  return fmt::format("{}.{}", gpu.driver_version / 1000, gpu.driver_version % 1000 / 10);
}

std::string describe_reach(const platform::GpuInfo& gpu) {
  if (gpu.coherent) return "all host memory, by the processor's page tables (coherent)";
  return gpu.pageable_access ? "all host memory, by faults (HMM)" : "registered host memory alone";
}

std::string describe_node(const platform::GpuInfo& gpu) {
  std::string text = gpu.host_node < 0 ? "nearest NUMA node unknown"
                                       : fmt::format("nearest NUMA node {}", gpu.host_node);
  if (gpu.device_node >= 0) text += fmt::format(", its memory is NUMA node {}", gpu.device_node);
  return text;
}

std::string describe_gpu(const platform::GpuInfo& gpu) {
  std::string text = fmt::format("GPU {}: {}, {}, compute capability {}.{}, {} multiprocessors\n",
                                 gpu.ordinal, gpu.name, format_size(gpu.total_bytes),
                                 gpu.compute_major, gpu.compute_minor, gpu.multiprocessors);
  text +=
      gpu.host_handles
          ? "  a region can have extents in HBM and in host memory under one address\n"
          : "  a region lies all in HBM or all in host memory: this driver puts no handles into "
            "host memory\n";
  text += fmt::format("  driver for CUDA {}; {}; it reaches {}\n", cuda_version(gpu),
                      describe_node(gpu), describe_reach(gpu));
  return text;
}

// -1 is what the driver says where there is no such node.
nlohmann::ordered_json node_json(int node) {
  return node < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(node);
}

nlohmann::ordered_json gpu_json(const platform::GpuInfo& gpu) {
  return {{"ordinal", gpu.ordinal},
          {"name", gpu.name},
          {"total_bytes", gpu.total_bytes},
          {"compute_capability", fmt::format("{}.{}", gpu.compute_major, gpu.compute_minor)},
          {"multiprocessors", gpu.multiprocessors},
          {"cuda_version", cuda_version(gpu)},
          {"host_handles", gpu.host_handles},
          {"pageable_access", gpu.pageable_access},
          {"host_page_tables", gpu.coherent},
          {"coherent", gpu.coherent},
          {"host_node", node_json(gpu.host_node)},
          {"device_node", node_json(gpu.device_node)}};
}

}  // namespace

Gpus ask_gpus() {
  Gpus gpus;
  const auto count = platform::cuda_gpu_count();
  if (!count) gpus.why_none = count.error().message;
  for (int i = 0; count && i < *count; ++i) gpus.infos.push_back(ask_gpu(i));
  return gpus;
}

std::string describe(const Gpus& gpus) {
  std::string text;
  for (const auto& gpu : gpus.infos) {
    text += gpu ? describe_gpu(*gpu) : fmt::format("GPU: {}\n", gpu.error().message);
  }
  return gpus.why_none.empty() ? text : fmt::format("GPUs: none ({})\n", gpus.why_none);
}

nlohmann::ordered_json to_json(const Gpus& gpus) {
  auto json = nlohmann::ordered_json::array();
  for (const auto& gpu : gpus.infos) {
    json.push_back(gpu ? gpu_json(*gpu) : nlohmann::ordered_json({{"error", gpu.error().message}}));
  }
  return json;
}

}  // namespace spillway::cli
