// Matmul over quantised weights (Q4_0 … Q8_0, Q2_K … Q6_K) with Arm's products of 8-bit integers,
// which Highway 1.0.3 does not reach. Pure functions; any thread.
#pragma once

#include "ops/cpu/kernels.h"

namespace spillway::ops::cpu::arm {

void set_matmul_dot(CpuKernels& kernels);  // by dot products (FEAT_DotProd)
void set_matmul_i8mm(
    CpuKernels& kernels);  // for several tokens by products of matrices (FEAT_I8MM)

}  // namespace spillway::ops::cpu::arm
