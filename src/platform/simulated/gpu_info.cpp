// What a simulated GPU says of itself.
#include "platform/simulated/simulated_gpu.h"

namespace spillway::platform {

GpuInfo simulated_gpu_info(const SimulatedGpuOptions& options) {
  return {.name = options.name,
          .total_bytes = options.total_bytes,
          .compute_major = 9,
          .multiprocessors = 1,
          .granularity = options.granularity,
          .host_handles = options.host_handles,
          .pageable_access = options.coherent,
          .coherent = options.coherent,
          .host_node = options.host_node,
          .device_node = options.device_node,
          .driver_version = options.driver_version,
          .context_bytes = options.context_bytes};
}

}  // namespace spillway::platform
