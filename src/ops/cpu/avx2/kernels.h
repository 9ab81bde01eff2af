// Matmul over quantised weights (Q4_0 … Q8_0, Q2_K … Q6_K) with products of 8-bit integers in
// vectors of 256 bits, which Highway 1.0.3 does not reach. Pure functions; any thread.
#pragma once

#include "ops/cpu/kernels.h"

namespace spillway::ops::cpu::avx2 {

// By AVX2's maddubs; needs FMA and F16C besides, as all such processors have.
void set_matmul(CpuKernels& kernels);

// By AVX-VNNI.
bool vnni_supported();
void set_matmul_vnni(CpuKernels& kernels);

}  // namespace spillway::ops::cpu::avx2
