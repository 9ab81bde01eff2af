// A GPU of any size on the CPU: handles are pieces of shared memory behind real addresses, streams
// are threads, kernels their stand-ins. A wait that is missing is a data race that ThreadSanitizer
// sees (what large copies hide: sparse_copy.h), memory that is touched while it is mapped nowhere a
// SIGSEGV. It keeps books, so that a test sees what was not given back, and refuses misuse with
// kUsage. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "platform/gpu.h"

namespace spillway::platform {

// Of copies between places, in real time; 0: as fast as the CPU copies. Within a place always so.
struct SimulatedCopyRates {
  double to_device_bytes_per_second = 0;
  double to_host_bytes_per_second = 0;
};

struct SimulatedGpuOptions {
  uint64_t total_bytes = uint64_t{64} << 20;
  uint64_t host_bytes = uint64_t{256} << 20;  // that kHost handles may take together
  uint64_t context_bytes = 0;                 // of total_bytes, gone from the start
  size_t granularity = size_t{64} << 10;      // a power of two, whole pages
  bool host_handles = true;
  bool managed = true;
  bool coherent = false;  // copies then take any host memory, not only what is registered
  int host_node = 0;      // as in GpuInfo
  int device_node = -1;
  int driver_version = 13000;
  // Passes before each piece of work of a stream: makes races likelier.
  std::chrono::microseconds work_delay{0};
  SimulatedCopyRates copy_rates = {};
  std::string name = "simulated GPU";
};

// 96 GB of HBM, 480 GB of host memory, coherent. Memory that was never written takes none here.
SimulatedGpuOptions described_gh200();

class SimulatedGpu : public Gpu {
 public:
  ~SimulatedGpu() override = default;  // waits for all work
  // What exists now. A released handle counts until it is mapped nowhere.
  virtual size_t handles() const = 0;
  virtual size_t reservations() const = 0;
  virtual size_t mappings() const = 0;
  virtual size_t registrations() const = 0;
  virtual size_t managed_ranges() const = 0;
  virtual size_t streams() const = 0;  // without the null stream
  virtual size_t events() const = 0;
  // Of handles and managed memory, without context_bytes.
  virtual uint64_t device_bytes_in_use() const = 0;
  virtual uint64_t peak_device_bytes() const = 0;
  virtual uint64_t host_bytes_in_use() const = 0;
  // Of this machine's memory that all handles take: pages that were written.
  virtual uint64_t written_bytes() const = 0;
};

// What the GPU of these options says of itself, without making it.
GpuInfo simulated_gpu_info(const SimulatedGpuOptions& options);
std::unique_ptr<SimulatedGpu> make_simulated_gpu(const SimulatedGpuOptions& options);

}  // namespace spillway::platform
