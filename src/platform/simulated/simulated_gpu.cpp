#include "platform/simulated/simulated_gpu.h"

#include "platform/simulated/simulation.h"

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
          .managed = options.managed,
          .host_node = options.host_node,
          .device_node = options.device_node,
          .driver_version = options.driver_version,
          .context_bytes = options.context_bytes};
}

Simulation::Simulation(const SimulatedGpuOptions& options)
    : options_(options), info_(simulated_gpu_info(options)), memory_(options) {
  streams_[0] = std::make_unique<SimulatedStream>(options.work_delay);
}

std::unique_ptr<SimulatedGpu> make_simulated_gpu(const SimulatedGpuOptions& options) {
  return std::make_unique<Simulation>(options);
}

}  // namespace spillway::platform
