#include "cli/gpus.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/units.h"
#include "platform/cuda_gpu.h"

namespace spillway::cli {
namespace {

std::vector<Result<std::unique_ptr<platform::Gpu>>> open_all(std::string& why_none) {
  std::vector<Result<std::unique_ptr<platform::Gpu>>> gpus;
  const auto count = platform::cuda_gpu_count();
  if (!count) why_none = count.error().message;
  for (int i = 0; count && i < *count; ++i) gpus.push_back(platform::open_cuda_gpu(i));
  return gpus;
}

std::string describe(const platform::GpuInfo& gpu) {
  std::string text = fmt::format("GPU {}: {}, {}, compute capability {}.{}, {} multiprocessors\n",
                                 gpu.ordinal, gpu.name, format_size(gpu.total_bytes),
                                 gpu.compute_major, gpu.compute_minor, gpu.multiprocessors);
  text += gpu.host_handles
              ? "  a region can have extents in HBM and in host memory under one address\n"
              : "  a region lies all in HBM: this driver puts no handles into host memory\n";
  if (gpu.coherent) text += "  coherent: the GPU reads the processor's page tables\n";
  return text;
}

}  // namespace

std::string describe_gpus() {
  std::string why_none;
  std::string text;
  for (const auto& gpu : open_all(why_none)) {
    text += gpu ? describe((*gpu)->info()) : fmt::format("GPU: {}\n", gpu.error().message);
  }
  return why_none.empty() ? text : fmt::format("GPUs: none ({})\n", why_none);
}

nlohmann::ordered_json gpus_json() {
  std::string why_none;
  auto json = nlohmann::ordered_json::array();
  for (const auto& gpu : open_all(why_none)) {
    if (!gpu) {
      json.push_back({{"error", gpu.error().message}});
      continue;
    }
    const platform::GpuInfo& info = (*gpu)->info();
    json.push_back(
        {{"ordinal", info.ordinal},
         {"name", info.name},
         {"total_bytes", info.total_bytes},
         {"compute_capability", fmt::format("{}.{}", info.compute_major, info.compute_minor)},
         {"multiprocessors", info.multiprocessors},
         {"host_handles", info.host_handles},
         {"coherent", info.coherent}});
  }
  return json;
}

}  // namespace spillway::cli
