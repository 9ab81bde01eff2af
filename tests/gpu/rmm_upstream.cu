// Spillway as the upstream of RMM and Thrust, on a GPU: containers, RMM's own adaptors over it,
// several streams, failures as RMM's exceptions. Compiled wherever nvcc is.
//
// usage: gpu_rmm_upstream      the last line is `N checks passed`; 1 after a check that failed
#include <thrust/count.h>
#include <thrust/fill.h>
#include <thrust/reduce.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <rmm/cuda_stream.hpp>
#include <rmm/device_uvector.hpp>
#include <rmm/device_vector.hpp>
#include <rmm/exec_policy.hpp>
#include <rmm/mr/limiting_resource_adaptor.hpp>
#include <rmm/mr/pool_memory_resource.hpp>
#include <rmm/mr/statistics_resource_adaptor.hpp>
#include <rmm/mr/thrust_allocator_adaptor.hpp>

#include <cstdint>
#include <cstdio>
#include <vector>

#include "checks.h"
#include "spillway/cuda_memory_resource.h"
#include "spillway/memory.h"

namespace memory = spillway::memory;
using spillway::CudaMemoryResource;
using spillway::testing::Checks;
using spillway::testing::throws;

namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr int64_t kCount = 1 << 20;

void check_containers(Checks& checks, CudaMemoryResource resource, cuda::stream_ref stream) {
  rmm::device_uvector<int64_t> numbers(kCount, stream, resource);
  const auto policy = rmm::exec_policy(stream, resource);
  thrust::sequence(policy, numbers.begin(), numbers.end(), int64_t{0});
  checks.check(thrust::reduce(policy, numbers.begin(), numbers.end()) == kCount * (kCount - 1) / 2,
               "the sum in a device_uvector");
  rmm::device_uvector<int64_t> copy(numbers, stream, resource);
  numbers.resize(2 * kCount, stream);
  thrust::fill(policy, numbers.begin() + kCount, numbers.end(), int64_t{-1});
  thrust::sort(policy, numbers.begin(), numbers.end());
  checks.check(
      thrust::count(policy, numbers.begin(), numbers.begin() + kCount, int64_t{-1}) == kCount,
      "sorted after a resize");
  checks.check(thrust::reduce(policy, copy.begin(), copy.end()) == kCount * (kCount - 1) / 2,
               "the copy is as it was");

  using Allocator = rmm::mr::thrust_allocator<int>;
  thrust::device_vector<int, Allocator> ones(1000, 1, Allocator(stream, resource));
  checks.check(thrust::reduce(policy, ones.begin(), ones.end()) == 1000, "a Thrust vector");
}

void check_streams(Checks& checks, CudaMemoryResource resource) {
  std::vector<rmm::cuda_stream> streams(4);
  for (int round = 0; round < 50; ++round) {
    for (auto& stream : streams) {
      rmm::device_uvector<int> some(1000 + round, stream, resource);
      const auto policy = rmm::exec_policy_nosync(stream, resource);
      thrust::fill(policy, some.begin(), some.end(), round);
      // Freed on the next stream while this one may still be busy with it: RMM's rule is that the
      // stream that frees comes later.
      stream.synchronize();
      some.set_stream(streams[round % streams.size()]);
    }
  }
  checks.check(true, "four streams");
}

void check_adaptors(Checks& checks, CudaMemoryResource resource, cuda::stream_ref stream) {
  rmm::mr::statistics_resource_adaptor statistics(resource);
  rmm::mr::limiting_resource_adaptor limit(statistics, 1 << 20);
  rmm::mr::pool_memory_resource pool(resource, 1 << 20);
  {
    rmm::device_uvector<char> some(1000, stream, limit);
    rmm::device_uvector<char> pooled(1000, stream, pool);
    checks.check(statistics.get_bytes_counter().value == 1000, "RMM's statistics over it");
    checks.check(throws<rmm::out_of_memory>([&] { (void)limit.allocate(stream, 2 << 20, 256); }),
                 "RMM's limit over it");
  }
  checks.check(statistics.get_bytes_counter().value == 0, "all is given back");
}

void check_failures(Checks& checks, CudaMemoryResource resource, cuda::stream_ref stream) {
  checks.check(throws<rmm::out_of_memory>([&] { (void)resource.allocate(stream, 64 * kGiB); }),
               "more than the budget is rmm::out_of_memory");
  checks.check(throws<rmm::bad_alloc>([&] { (void)resource.allocate(stream, 1, 512); }),
               "an alignment that is refused is rmm::bad_alloc");
  checks.check(throws<rmm::bad_alloc>([&] { (void)resource.allocate(cudaStreamPerThread, 1); }),
               "the per-thread default stream is refused");
  checks.check(resource.allocate(stream, 0) == nullptr, "no bytes are a null pointer");
  void* const pointer = resource.allocate_sync(1000);
  checks.check(cudaMemset(pointer, 0, 1000) == cudaSuccess, "memory without a stream");
  resource.deallocate_sync(pointer, 1000);
}

int run() {
  const auto pool =
      memory::Pool::open(0, {.hbm_budget_bytes = 2 * kGiB, .host_budget_bytes = kGiB});
  if (!pool) {
    std::fprintf(stderr, "%s\n", pool.error().message.c_str());
    return static_cast<int>(pool.error().code);
  }
  const auto allocator = memory::StreamAllocator::create(**pool, {.name = "RMM"}).value();
  const auto other = memory::StreamAllocator::create(**pool, {.name = "other"}).value();
  const CudaMemoryResource resource(*allocator);
  Checks checks;
  checks.check(resource == CudaMemoryResource(*allocator), "the same resource is equal");
  checks.check(resource != CudaMemoryResource(*other), "another is not");
  {
    const rmm::cuda_stream own;
    for (cuda::stream_ref stream :
         {cuda::stream_ref(cudaStream_t{nullptr}), cuda::stream_ref(own)}) {
      check_containers(checks, resource, stream);
      check_adaptors(checks, resource, stream);
      check_failures(checks, resource, stream);
    }
    check_streams(checks, resource);
  }
  checks.check(allocator->statistics().used_blocks == 0, "nothing is left allocated");
  checks.check(allocator->valid(), "the tables agree");
  checks.report();
  return 0;
}

}  // namespace

int main() {
  return run();
}
