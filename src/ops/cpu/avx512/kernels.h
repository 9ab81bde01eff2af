// Matmul over quantised weights with AVX-512's products of 8-bit integers (VNNI), which Highway
// 1.0.3 does not reach. Pure functions; any thread.
#pragma once

#include "ops/cpu/kernels.h"

namespace spillway::ops::cpu::avx512 {

// Whether this processor has what the kernels below use.
bool supported();

void set_matmul_legacy(CpuKernels& kernels);  // Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
void set_matmul_k(CpuKernels& kernels);       // Q2_K … Q6_K

}  // namespace spillway::ops::cpu::avx512
