// Small operations of PyTorch's joined (ops/fused.h). Launched by ops/fused.cpp; any grid, one
// dimension. Products and sums by intrinsics: what PyTorch rounds in between is not to be fused.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "ops/cuda/grid.cuh"
#include "tensor/dtype.h"

namespace {

using spillway::DType;

__device__ float wide(float value) {
  return value;
}
__device__ float wide(__half value) {
  return __half2float(value);
}
__device__ float wide(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

template <typename T>
__device__ T rounded(float value);
template <>
__device__ float rounded(float value) {
  return value;
}
template <>
__device__ __half rounded(float value) {
  return __float2half_rn(value);
}
template <>
__device__ __nv_bfloat16 rounded(float value) {
  return __float2bfloat16_rn(value);
}

template <typename T>
__device__ T product(T a, T b) {
  return rounded<T>(__fmul_rn(wide(a), wide(b)));
}

// Calls body(a null pointer of the elements' type).
template <typename Body>
__device__ void with_type(uint32_t dtype, const Body& body) {
  if (dtype == static_cast<uint32_t>(DType::kBF16)) {
    body(static_cast<__nv_bfloat16*>(nullptr));
  } else if (dtype == static_cast<uint32_t>(DType::kF16)) {
    body(static_cast<__half*>(nullptr));
  } else {
    body(static_cast<float*>(nullptr));
  }
}

template <typename T>
struct Rows {
  const T* x;
  const T* weight;  // of one row
  T* y;
  uint64_t columns;
  float epsilon;
};

template <typename T>
__device__ void norm(const Rows<T>& rows, const float* means, uint64_t count) {
  for (uint64_t i = first_index(); i < count; i += all_threads()) {
    const float scale = rsqrtf(__fadd_rn(means[i / rows.columns], rows.epsilon));
    rows.y[i] =
        product(rows.weight[i % rows.columns], rounded<T>(__fmul_rn(wide(rows.x[i]), scale)));
  }
}

constexpr uint32_t kMostThreads = 512;
constexpr uint32_t kWarp = 32;

// Of a row, by one block, in the order of SumOrder: thread 0 has it.
template <typename T>
__device__ float sum_of_squares(const T* x, uint32_t columns, bool doubling) {
  __shared__ float sums[kMostThreads];
  float four[4] = {};
  for (uint32_t at = threadIdx.x * 4; at < columns; at += blockDim.x * 4) {
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
      four[i] = __fadd_rn(four[i], __fmul_rn(wide(x[at + i]), wide(x[at + i])));
    }
  }
  float sum = __fadd_rn(__fadd_rn(__fadd_rn(four[0], four[1]), four[2]), four[3]);
  sums[threadIdx.x] = sum;
  for (uint32_t distance = blockDim.x / 2; distance >= kWarp; distance /= 2) {
    __syncthreads();
    if (threadIdx.x < distance) {
      sum = __fadd_rn(sum, sums[threadIdx.x + distance]);
      sums[threadIdx.x] = sum;
    }
  }
  __syncthreads();
  for (uint32_t step = 1; step < kWarp; step *= 2) {
    const uint32_t distance = doubling ? step : kWarp / 2 / step;
    sum = __fadd_rn(sum, __shfl_down_sync(0xFFFFFFFFU, sum, distance));
  }
  return sum;
}

template <typename T>
__device__ void norm_one(const Rows<T>& row, bool doubling) {
  __shared__ float scale;
  const auto columns = static_cast<uint32_t>(row.columns);
  const float sum = sum_of_squares(row.x, columns, doubling);
  if (threadIdx.x == 0) {
    const float mean = __fmul_rn(sum, __fdiv_rn(1.0F, static_cast<float>(columns)));
    scale = rsqrtf(__fadd_rn(mean, row.epsilon));
  }
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < columns; i += blockDim.x) {
    row.y[i] = product(row.weight[i], rounded<T>(__fmul_rn(wide(row.x[i]), scale)));
  }
}

template <typename T>
struct Heads {
  const T* from;
  T* to;
  uint64_t heads;  // of all sequences
};

template <typename T>
struct Angles {
  const T* cos;
  const T* sin;
  uint64_t dim;
  uint64_t sequence_step;
};

template <typename T>
__device__ void rotate(const Heads<T>& q, const Heads<T>& k, const Angles<T>& angles,
                       uint64_t q_heads, uint64_t k_heads) {
  const uint64_t dim = angles.dim;
  const uint64_t half = dim / 2;
  for (uint64_t i = first_index(); i < (q.heads + k.heads) * dim; i += all_threads()) {
    const bool is_q = i < q.heads * dim;
    const Heads<T>& what = is_q ? q : k;
    const uint64_t at = is_q ? i : i - q.heads * dim;
    const uint64_t column = at % dim;
    const uint64_t sequence = at / dim / (is_q ? q_heads : k_heads);
    const T* from = what.from + (at - column);
    const T other = column < half ? rounded<T>(-wide(from[column + half])) : from[column - half];
    const uint64_t angle = sequence * angles.sequence_step + column;
    what.to[at] = rounded<T>(__fadd_rn(wide(product(from[column], angles.cos[angle])),
                                       wide(product(other, angles.sin[angle]))));
  }
}

}  // namespace

extern "C" __global__ void square_elements(const void* x, float* to, uint64_t count,
                                           uint32_t dtype) {
  with_type(dtype, [&](auto* type) {
    const auto* from = static_cast<decltype(type)>(const_cast<void*>(x));
    for (uint64_t i = first_index(); i < count; i += all_threads()) {
      to[i] = __fmul_rn(wide(from[i]), wide(from[i]));
    }
  });
}

extern "C" __global__ void norm_rows(const void* x, const float* means, const void* weight, void* y,
                                     uint64_t count, uint64_t columns, float epsilon,
                                     uint32_t dtype) {
  with_type(dtype, [&](auto* type) {
    using T = decltype(type);
    const Rows<std::remove_pointer_t<T>> rows{static_cast<T>(const_cast<void*>(x)),
                                              static_cast<T>(const_cast<void*>(weight)),
                                              static_cast<T>(y), columns, epsilon};
    norm(rows, means, count);
  });
}

extern "C" __global__ void norm_row(const void* x, const void* weight, void* y, uint64_t columns,
                                    float epsilon, uint32_t doubling, uint32_t dtype) {
  with_type(dtype, [&](auto* type) {
    using T = decltype(type);
    const Rows<std::remove_pointer_t<T>> row{static_cast<T>(const_cast<void*>(x)),
                                             static_cast<T>(const_cast<void*>(weight)),
                                             static_cast<T>(y), columns, epsilon};
    norm_one(row, doubling != 0);
  });
}

extern "C" __global__ void silu_times(const void* x, const void* factor, void* y, uint64_t count,
                                      uint32_t dtype) {
  with_type(dtype, [&](auto* type) {
    using T = decltype(type);
    const auto* from = static_cast<T>(const_cast<void*>(x));
    const auto* by = static_cast<T>(const_cast<void*>(factor));
    for (uint64_t i = first_index(); i < count; i += all_threads()) {
      const float value = wide(from[i]);
      const auto silu = rounded<std::remove_pointer_t<T>>(value / (1.0F + expf(-value)));
      static_cast<T>(y)[i] = product(by[i], silu);
    }
  });
}

extern "C" __global__ void copy_two(const uint32_t* from, const uint32_t* other, uint32_t* to,
                                    uint32_t* other_to, uint64_t words) {
  for (uint64_t i = first_index(); i < 2 * words; i += all_threads()) {
    if (i < words) {
      to[i] = from[i];
    } else {
      other_to[i - words] = other[i - words];
    }
  }
}

extern "C" __global__ void rotate_heads(const void* q, const void* k, const void* cos,
                                        const void* sin, void* q_to, void* k_to, uint64_t batch,
                                        uint64_t q_heads, uint64_t k_heads, uint64_t dim,
                                        uint64_t sequence_step, uint32_t dtype) {
  with_type(dtype, [&](auto* type) {
    using T = decltype(type);
    using Element = std::remove_pointer_t<T>;
    const Heads<Element> from_q{static_cast<T>(const_cast<void*>(q)), static_cast<T>(q_to),
                                batch * q_heads};
    const Heads<Element> from_k{static_cast<T>(const_cast<void*>(k)), static_cast<T>(k_to),
                                batch * k_heads};
    const Angles<Element> angles{static_cast<T>(const_cast<void*>(cos)),
                                 static_cast<T>(const_cast<void*>(sin)), dim, sequence_step};
    rotate(from_q, from_k, angles, q_heads, k_heads);
  });
}
