#include "ops/cpu/arm/isa_dot.h"
#include "ops/cpu/arm/kernels.h"
#include "ops/cpu/bytes/matmul-inl.h"

namespace spillway::ops::cpu::arm {

void set_matmul_dot(CpuKernels& kernels) {
  bytes::set_matmul<bytes::NeonDot>(kernels);
}

}  // namespace spillway::ops::cpu::arm
