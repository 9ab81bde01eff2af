#include "ops/cpu/avx2/isa_avx2.h"
#include "ops/cpu/avx2/kernels.h"
#include "ops/cpu/bytes/matmul-inl.h"

namespace spillway::ops::cpu::avx2 {

void set_matmul(CpuKernels& kernels) {
  bytes::set_matmul<bytes::Avx2>(kernels);
}

}  // namespace spillway::ops::cpu::avx2
