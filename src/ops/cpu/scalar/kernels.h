// The scalar kernels, written for clarity: what every instruction set is tested against. Pure
// functions; any thread.
#pragma once

#include "ops/cpu/kernels.h"

namespace spillway::ops::cpu::scalar {

CpuKernels kernels();  // all of them

CpuKernels::Dequantise dequantise_kernel(DType dtype);
CpuKernels::StoreKv store_kv_kernel(DType dtype);  // null for what no cache has
void matmul_floats(const MatmulTask& task, size_t first_row, size_t end_row);
void matmul_quantised(const MatmulTask& task, size_t first_row, size_t end_row);
void attention(const AttentionTask& task, size_t kv_head, size_t first, size_t end);
void attend_chunk(const PartTask& task, const KvStretch& chunk, float* sums);

double rms_scale(const float* x, float epsilon, size_t count);  // 1 / sqrt(mean(x²) + epsilon)
void rms_norm(const float* x, const float* weight, float epsilon, float* y, size_t count);
void quantise(const float* x, size_t columns, const PreparedToken<std::byte>& out);
void norm_quantise(const float* x, const float* weight, float epsilon, size_t columns,
                   const PreparedToken<std::byte>& out);
void rope(const RopePairs& pairs);
void swiglu(float* gate, const float* up, size_t count);
void geglu(float* gate, const float* up, size_t count);
void soft_cap(float* x, float cap, size_t count);
void scale(float* x, float factor, size_t count);
void add(float* x, const float* y, size_t count);
void softmax(float* x, size_t count);

}  // namespace spillway::ops::cpu::scalar
