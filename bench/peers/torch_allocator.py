#!/usr/bin/env python3
"""What a hit of PyTorch's caching allocator costs, from C++ to C++, on the trace of
`spillway bench memory` (the same generator, seed and sizes). Needs torch with CUDA and a compiler.

usage: torch_allocator.py [BYTES]
"""
import sys

from torch.utils.cpp_extension import load_inline

SOURCE = r"""
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

std::vector<double> measure(int64_t total) {
  constexpr size_t kLive = 256, kSteps = 1'000'000;
  auto* allocator = c10::cuda::CUDACachingAllocator::get();
  const auto stream = c10::cuda::getStreamFromPool();
  std::mt19937 random(1);
  std::vector<void*> live(kLive, nullptr);
  std::vector<std::pair<size_t, size_t>> steps(kSteps);
  for (auto& [index, bytes] : steps) {
    index = random() % kLive;
    bytes = 1 + random() % (total / (4 * kLive));
  }
  std::vector<double> nanoseconds;
  for (int round = 0; round <= 5; ++round) {
    const auto started = std::chrono::steady_clock::now();
    for (const auto& [index, bytes] : steps) {
      if (live[index] != nullptr) allocator->raw_delete(live[index]);
      live[index] = allocator->raw_alloc_with_stream(bytes, stream.stream());
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    if (round > 0) nanoseconds.push_back(seconds.count() / kSteps * 1e9);
  }
  for (void* pointer : live) allocator->raw_delete(pointer);
  std::sort(nanoseconds.begin(), nanoseconds.end());
  return nanoseconds;
}
"""


def main():
    import torch
    torch.zeros(1, device="cuda")
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 4 << 30
    module = load_inline("torch_allocator_peer", SOURCE, functions=["measure"], with_cuda=True,
                         extra_cflags=["-O3"])
    times = module.measure(total)
    print(f"torch {torch.__version__} caching allocator: {times[len(times) // 2]:.1f} ns "
          f"({times[0]:.1f} to {times[-1]:.1f}) for free and allocate")


if __name__ == "__main__":
    main()
