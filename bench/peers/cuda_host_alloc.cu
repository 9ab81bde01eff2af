// The driver's own pinned allocation, as a peer of PinnedMemory: GB/s until it is ready for DMA.
//
// usage: cuda_host_alloc GIB [ROUNDS]
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
  const size_t bytes = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 4) << 30;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
  cudaFree(nullptr);  // makes the context
  std::vector<double> rates;
  for (int i = 0; i < rounds; ++i) {
    const auto started = std::chrono::steady_clock::now();
    void* memory = nullptr;
    if (const cudaError_t error = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault)) {
      std::fprintf(stderr, "cudaHostAlloc: %s\n", cudaGetErrorString(error));
      return 1;
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    rates.push_back(static_cast<double>(bytes) / seconds.count() / 1e9);
    cudaFreeHost(memory);
  }
  std::sort(rates.begin(), rates.end());
  std::printf("cudaHostAlloc of %zu GiB: %.2f GB/s (%.2f to %.2f)\n", bytes >> 30,
              rates[rates.size() / 2], rates.front(), rates.back());
}
