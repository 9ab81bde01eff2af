// The kernels written once with Google Highway and compiled for several instruction sets. Each
// function below overwrites its ops' entries with those for `target`, one of Highway's target bits
// (HWY_AVX2 …) that the processor supports. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/cpu/kernels.h"

namespace spillway::ops::cpu::simd {

// All kernels for each instruction set that this processor and this build have, best first.
std::vector<CpuKernels> supported_kernels();

void set_elementwise(CpuKernels& kernels, int64_t target);  // all but norms and rope
void set_rms_norm(CpuKernels& kernels, int64_t target);
void set_rope(CpuKernels& kernels, int64_t target);
void set_quantise(CpuKernels& kernels, int64_t target);
void set_store_f16(CpuKernels& kernels, int64_t target);
void set_attention(CpuKernels& kernels, int64_t target);
void set_attend_chunk(CpuKernels& kernels, int64_t target);
void set_matmul_floats(CpuKernels& kernels, int64_t target);
void set_matmul_legacy(CpuKernels& kernels, int64_t target);  // Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
void set_matmul_k(CpuKernels& kernels, int64_t target);       // Q2_K … Q6_K
void set_matmul_codes(CpuKernels& kernels, int64_t target);   // IQ, MXFP4, TQ

}  // namespace spillway::ops::cpu::simd
