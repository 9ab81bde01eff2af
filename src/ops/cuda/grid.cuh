// A thread's elements in a grid of one dimension: from first_index() on, all_threads() apart.
#pragma once

#include <cstdint>

namespace {

__device__ uint64_t first_index() {
  return uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

__device__ uint64_t all_threads() {
  return uint64_t{gridDim.x} * blockDim.x;
}

}  // namespace
