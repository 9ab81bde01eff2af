// RMM and Thrust with memory of Spillway's: 1 GiB of HBM for all of it, and not a byte more.
#include <thrust/reduce.h>
#include <thrust/sequence.h>
#include <rmm/device_uvector.hpp>
#include <rmm/exec_policy.hpp>

#include <cstdint>
#include <cstdio>

#include "spillway/cuda_memory_resource.h"
#include "spillway/memory.h"

namespace memory = spillway::memory;

namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

void sum_up(spillway::CudaMemoryResource resource) {
  const cuda::stream_ref stream(cudaStream_t{nullptr});
  rmm::device_uvector<int64_t> numbers(1 << 20, stream, resource);
  // Thrust's temporary memory comes from there as well.
  const auto policy = rmm::exec_policy(stream, resource);
  thrust::sequence(policy, numbers.begin(), numbers.end());
  const int64_t sum = thrust::reduce(policy, numbers.begin(), numbers.end());
  std::printf("the sum of 0 to 2^20 - 1: %lld\n", static_cast<long long>(sum));

  try {
    rmm::device_uvector<char> too_much(4 * kGiB, stream, resource);
  } catch (const rmm::out_of_memory&) {
    std::printf("4 GiB: rmm::out_of_memory\n");
  }
}

}  // namespace

int main() {
  const auto pool = memory::Pool::open(0, {.hbm_budget_bytes = kGiB, .host_budget_bytes = kGiB});
  if (!pool) {
    std::fprintf(stderr, "%s\n", pool.error().message.c_str());
    return static_cast<int>(pool.error().code);
  }
  const auto allocator = memory::StreamAllocator::create(**pool, {.name = "RMM"});
  if (!allocator) {
    std::fprintf(stderr, "%s\n", allocator.error().message.c_str());
    return static_cast<int>(allocator.error().code);
  }
  sum_up(spillway::CudaMemoryResource(**allocator));
  return 0;
}
