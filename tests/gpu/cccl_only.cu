// cuda_memory_resource.h without RMM, on a GPU: CCCL's own buffers, Thrust, and std::bad_alloc with
// a text. Compiled wherever nvcc is.
//
// usage: gpu_cccl_only      the last line is `N checks passed`; 1 after a check that failed
#include <thrust/execution_policy.h>
#include <thrust/reduce.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>

#include <cstdint>
#include <cstdio>
#include <cuda/buffer>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "checks.h"
#include "spillway/cuda_memory_resource.h"
#include "spillway/memory.h"

namespace memory = spillway::memory;
using spillway::CudaMemoryResource;
using spillway::testing::Checks;
using spillway::testing::throws;

static_assert(std::is_base_of_v<std::bad_alloc, spillway::OutOfMemory>);
static_assert(std::is_constructible_v<spillway::OutOfMemory, std::string>, "with a text");

namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr int64_t kCount = 1 << 20;
constexpr int64_t kSum = kCount * (kCount - 1) / 2;

// Thrust's temporary memory: it asks for an allocator of bytes. Counts what it was asked for.
class Temporary {
 public:
  using value_type = char;

  Temporary(CudaMemoryResource resource, cuda::stream_ref stream)
      : resource_(std::move(resource)), stream_(stream) {}
  char* allocate(std::ptrdiff_t bytes) {
    ++count_;
    return static_cast<char*>(resource_.allocate(stream_, static_cast<size_t>(bytes)));
  }
  void deallocate(char* pointer, size_t bytes) { resource_.deallocate(stream_, pointer, bytes); }
  int count() const { return count_; }

 private:
  CudaMemoryResource resource_;
  cuda::stream_ref stream_;
  int count_ = 0;
};

void run_thrust(Checks& checks, CudaMemoryResource resource, cuda::stream_ref stream) {
  cuda::device_buffer<int64_t> numbers(stream, resource, kCount, cuda::no_init);
  Temporary temporary(resource, stream);
  const auto policy = thrust::cuda::par(temporary).on(stream.get());
  thrust::sequence(policy, numbers.begin(), numbers.end());
  thrust::sort(policy, numbers.begin(), numbers.end(), thrust::greater<int64_t>());
  int64_t first = 0;
  checks.check(cudaMemcpyAsync(&first, numbers.data(), sizeof first, cudaMemcpyDeviceToHost,
                               stream.get()) == cudaSuccess,
               "a copy out of the buffer");
  stream.sync();
  checks.check(first == kCount - 1, "sorted downwards");
  checks.check(thrust::reduce(policy, numbers.begin(), numbers.end()) == kSum, "the sum");
  checks.check(temporary.count() > 0, "Thrust's temporary memory comes from there");

  // As any_resource, which is how CCCL's containers keep it.
  const cuda::mr::any_resource<cuda::mr::device_accessible> any(resource);
  const cuda::device_buffer<int64_t> copy(stream, any, numbers);
  checks.check(thrust::reduce(policy, copy.begin(), copy.end()) == kSum, "the sum of a copy");
}

int run() {
  const auto pool =
      memory::Pool::open(0, {.hbm_budget_bytes = 2 * kGiB, .host_budget_bytes = kGiB});
  if (!pool) {
    std::fprintf(stderr, "%s\n", pool.error().message.c_str());
    return static_cast<int>(pool.error().code);
  }
  Checks checks;
  const auto allocator = memory::StreamAllocator::create(**pool, {.name = "CCCL"}).value();
  CudaMemoryResource resource(*allocator);
  cudaStream_t own = nullptr;
  checks.check(cudaStreamCreate(&own) == cudaSuccess, "a stream");
  for (cudaStream_t stream : {cudaStream_t{nullptr}, own}) {
    run_thrust(checks, resource, cuda::stream_ref(stream));
  }
  checks.check(throws<std::bad_alloc>([&] { (void)resource.allocate_sync(64 * kGiB); }),
               "more than the budget is std::bad_alloc");
  checks.check(throws<spillway::OutOfMemory>([&] { (void)resource.allocate_sync(64 * kGiB); }),
               "and says that memory is out");
  checks.check(cudaStreamSynchronize(own) == cudaSuccess, "the stream ends");
  checks.check(cudaStreamDestroy(own) == cudaSuccess, "the stream goes");
  checks.check(allocator->statistics().used_blocks == 0, "nothing is left allocated");
  checks.check(allocator->valid(), "the tables agree");
  checks.report();
  return 0;
}

}  // namespace

int main() {
  return run();
}
