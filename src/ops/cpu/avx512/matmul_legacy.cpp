#include "ops/cpu/avx512/dots_amx.h"
#include "ops/cpu/avx512/dots_vnni.h"
#include "ops/cpu/avx512/formats_legacy.h"
#include "ops/cpu/avx512/kernels.h"
#include "ops/cpu/avx512/matmul.h"

namespace spillway::ops::cpu::avx512 {
namespace {

template <class Dots>
void set(CpuKernels& kernels) {
  set_matmul<Legacy<4, false>, Dots>(kernels, DType::kQ4_0);
  set_matmul<Legacy<4, true>, Dots>(kernels, DType::kQ4_1);
  set_matmul<Legacy<5, false>, Dots>(kernels, DType::kQ5_0);
  set_matmul<Legacy<5, true>, Dots>(kernels, DType::kQ5_1);
  set_matmul<Q8_0, Dots>(kernels, DType::kQ8_0);
}

}  // namespace

void set_matmul_legacy(CpuKernels& kernels) {
  set<DotsVnni>(kernels);
}

void set_matmul_legacy_amx(CpuKernels& kernels) {
  set<DotsAmx>(kernels);
}

}  // namespace spillway::ops::cpu::avx512
