#include "ops/cpu/avx512/dots_amx.h"
#include "ops/cpu/avx512/dots_vnni.h"
#include "ops/cpu/avx512/formats_legacy.h"
#include "ops/cpu/avx512/kernels.h"
#include "ops/cpu/avx512/matmul.h"

namespace spillway::ops::cpu::avx512 {
namespace {

template <class Dots>
void set(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kQ4_0)] = matmul<Legacy<4, false>, Dots>;
  kernels.matmul[slot(DType::kQ4_1)] = matmul<Legacy<4, true>, Dots>;
  kernels.matmul[slot(DType::kQ5_0)] = matmul<Legacy<5, false>, Dots>;
  kernels.matmul[slot(DType::kQ5_1)] = matmul<Legacy<5, true>, Dots>;
  kernels.matmul[slot(DType::kQ8_0)] = matmul<Q8_0, Dots>;
}

}  // namespace

void set_matmul_legacy(CpuKernels& kernels) {
  set<DotsVnni>(kernels);
}

void set_matmul_legacy_amx(CpuKernels& kernels) {
  set<DotsAmx>(kernels);
}

}  // namespace spillway::ops::cpu::avx512
