#include "platform/simulated/simulated_gpu.h"

#include "platform/simulated/simulation.h"

namespace spillway::platform {
namespace {

GpuInfo info_of(const SimulatedGpuOptions& options) {
  return {.name = options.name,
          .total_bytes = options.total_bytes,
          .compute_major = 9,
          .multiprocessors = 1,
          .granularity = options.granularity,
          .host_handles = options.host_handles,
          .coherent = options.coherent,
          .managed = options.managed,
          .host_node = 0,
          .context_bytes = options.context_bytes};
}

}  // namespace

Simulation::Simulation(const SimulatedGpuOptions& options)
    : options_(options), info_(info_of(options)), memory_(options) {
  streams_[0] = std::make_unique<SimulatedStream>(options.work_delay);
}

std::unique_ptr<SimulatedGpu> make_simulated_gpu(const SimulatedGpuOptions& options) {
  return std::make_unique<Simulation>(options);
}

}  // namespace spillway::platform
