// Matmul over quantised weights with AVX-512's products of 8-bit integers (VNNI), which Highway
// 1.0.3 does not reach, and for several tokens with AMX's. Both give the same bits. Pure functions;
// any thread.
#pragma once

#include "ops/cpu/kernels.h"

namespace spillway::ops::cpu::avx512 {

// Whether this processor has what the kernels below use.
bool supported();
// Whether it has AMX's 8-bit products besides, and the system lends this process the registers.
bool amx_supported();

void set_matmul_legacy(CpuKernels& kernels);  // Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
void set_matmul_k(CpuKernels& kernels);       // Q2_K … Q6_K
void set_interleave(CpuKernels& kernels);
void set_matmul_legacy_amx(CpuKernels& kernels);
void set_matmul_k_amx(CpuKernels& kernels);

}  // namespace spillway::ops::cpu::avx512
