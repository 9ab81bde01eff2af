// A life of a pool in which any call may fail: what it does goes on after a failure, as a program
// that handles errors would, and after each step it looks whether a budget is broken. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/units.h"
#include "platform/faulty_gpu.h"
#include "platform/simulated/simulated_gpu.h"
#include "platform/simulated/simulated_platform.h"
#include "spillway/memory.h"

namespace spillway::memory {

class Scenario {
 public:
  explicit Scenario(bool managed) : managed_(managed) {}

  platform::FaultyGpu& gpu() { return gpu_; }
  platform::SimulatedPlatform& os() { return *os_; }

  void run();
  // Nothing is left of it on the GPU or on the host.
  void expect_nothing_left() const;

 private:
  static constexpr size_t kExtent = 512 * kKiB;
  static constexpr size_t kExtents = 6;
  static constexpr size_t kHbmExtents = 5;

  void use_region();
  void use_host_region();
  void use_allocator();
  void write(Region& region, size_t extent, Tier tier);
  // With everything well again, every byte that was written is there.
  void check_all(Region& region);
  void sample();

  const bool managed_;
  std::unique_ptr<platform::SimulatedGpu> real_ = platform::make_simulated_gpu({});
  std::unique_ptr<platform::SimulatedPlatform> os_ = platform::make_simulated_platform({});
  platform::FaultyGpu gpu_{*real_};
  std::unique_ptr<Pool> pool_;
  std::array<bool, kExtents> written_ = {};
};

}  // namespace spillway::memory
