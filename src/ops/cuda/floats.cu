// Elements of 16 or 32 bits as floats and back, wherever they lie. Launched by ops/floats.cpp; any
// grid, one dimension.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "ops/cuda/grid.cuh"
#include "tensor/dtype.h"

namespace {

using spillway::DType;

}  // namespace

extern "C" __global__ void widen_elements(const void* from, float* to, uint64_t count,
                                          uint32_t dtype) {
  for (uint64_t i = first_index(); i < count; i += all_threads()) {
    if (dtype == static_cast<uint32_t>(DType::kBF16)) {
      to[i] = __bfloat162float(static_cast<const __nv_bfloat16*>(from)[i]);
    } else if (dtype == static_cast<uint32_t>(DType::kF16)) {
      to[i] = __half2float(static_cast<const __half*>(from)[i]);
    } else {
      to[i] = static_cast<const float*>(from)[i];
    }
  }
}

extern "C" __global__ void narrow_floats(const float* from, void* to, uint64_t count,
                                         uint32_t dtype) {
  for (uint64_t i = first_index(); i < count; i += all_threads()) {
    if (dtype == static_cast<uint32_t>(DType::kBF16)) {
      static_cast<__nv_bfloat16*>(to)[i] = __float2bfloat16_rn(from[i]);
    } else if (dtype == static_cast<uint32_t>(DType::kF16)) {
      static_cast<__half*>(to)[i] = __float2half_rn(from[i]);
    } else {
      static_cast<float*>(to)[i] = from[i];
    }
  }
}
