// What a hit of RMM's pool costs, from C++ to C++, on the trace of `spillway bench memory` (the
// same generator, seed and sizes), as its users have it: over cudaMalloc, on one stream. Called as
// the type that it is, so without the cost of any_resource. The pool has all its memory before the
// first round. Then the same loop over Spillway's allocator through CCCL's interface.
//
// usage: rmm_pool [BYTES]
#include <rmm/cuda_stream.hpp>
#include <rmm/mr/cuda_memory_resource.hpp>
#include <rmm/mr/pool_memory_resource.hpp>
#include <rmm/version_config.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <utility>
#include <vector>

#include "spillway/cuda_memory_resource.h"
#include "spillway/memory.h"

namespace {

constexpr size_t kLive = 256;
constexpr size_t kSteps = 1'000'000;
constexpr size_t kAlignment = 256;
constexpr int kRounds = 5;

// [kSteps]: which of the live blocks goes, and the size of the one in its place.
using Trace = std::vector<std::pair<size_t, size_t>>;

Trace trace_of(size_t total) {
  std::mt19937 random(1);
  Trace steps(kSteps);
  for (auto& [index, bytes] : steps) {
    index = random() % kLive;
    bytes = 1 + random() % (total / (4 * kLive));
  }
  return steps;
}

template <typename Resource>
void measure(const char* name, Resource& resource, const Trace& steps) {
  const rmm::cuda_stream owner;
  const cuda::stream_ref stream(owner.value());
  std::vector<std::pair<void*, size_t>> live(kLive, {nullptr, 0});
  std::vector<double> nanoseconds;
  for (int round = 0; round <= kRounds; ++round) {  // the first warms up
    const auto started = std::chrono::steady_clock::now();
    for (const auto& [index, bytes] : steps) {
      auto& [pointer, held] = live[index];
      if (pointer != nullptr) resource.deallocate(stream, pointer, held, kAlignment);
      pointer = resource.allocate(stream, bytes, kAlignment);
      held = bytes;
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    if (round > 0) nanoseconds.push_back(seconds.count() / kSteps * 1e9);
  }
  for (auto& [pointer, bytes] : live) resource.deallocate(stream, pointer, bytes, kAlignment);
  owner.synchronize();
  std::sort(nanoseconds.begin(), nanoseconds.end());
  std::printf("%s: %.1f ns (%.1f to %.1f) for free and allocate\n", name,
              nanoseconds[nanoseconds.size() / 2], nanoseconds.front(), nanoseconds.back());
}

void measure_rmm(size_t total, const Trace& steps) {
  rmm::mr::pool_memory_resource pool(rmm::mr::cuda_memory_resource(), total, total);
  measure("RMM " RMM_VERSION " pool_memory_resource", pool, steps);
}

void measure_spillway(size_t total, const Trace& steps) {
  namespace memory = spillway::memory;
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  // The driver's own share is in the budget.
  const auto pool =
      memory::Pool::open(0, {.hbm_budget_bytes = total + 2 * kGiB, .host_budget_bytes = kGiB})
          .value();
  const auto allocator = memory::StreamAllocator::create(*pool, {}).value();
  spillway::CudaMemoryResource resource(*allocator);
  measure("Spillway as a resource of CCCL", resource, steps);
}

}  // namespace

int main(int argc, char** argv) {
  const size_t asked = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : size_t{4} << 30;
  const size_t total = asked / kAlignment * kAlignment;
  if (total < 4 * kLive * kAlignment) {
    std::fprintf(stderr, "usage: rmm_pool [BYTES]\n");
    return 2;
  }
  try {
    const Trace steps = trace_of(total);
    measure_rmm(total, steps);
    measure_spillway(total, steps);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rmm_pool: %s\n", error.what());
    return 1;
  }
  return 0;
}
