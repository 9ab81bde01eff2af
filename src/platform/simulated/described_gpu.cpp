#include "platform/simulated/simulated_gpu.h"

namespace spillway::platform {

// Sizes are the data sheet's, which are decimal. Rates: the copy engine's in the measurements
// published with arXiv 2408.11556 (ntua-el20062/grace-hopper-benchmark, luigifusco/gh_benchmark).
SimulatedGpuOptions described_gh200() {
  constexpr uint64_t kGigabyte = 1'000'000'000;
  return {.total_bytes = 96 * kGigabyte,
          .host_bytes = 480 * kGigabyte,
          .granularity = size_t{2} << 20,
          .coherent = true,
          .copy_rates = {.to_device_bytes_per_second = 403e9, .to_host_bytes_per_second = 297e9},
          .name = "simulated GH200 96 GB"};
}

}  // namespace spillway::platform
