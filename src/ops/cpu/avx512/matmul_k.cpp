#include "ops/cpu/avx512/dots_amx.h"
#include "ops/cpu/avx512/dots_vnni.h"
#include "ops/cpu/avx512/formats_k.h"
#include "ops/cpu/avx512/kernels.h"
#include "ops/cpu/avx512/matmul.h"

namespace spillway::ops::cpu::avx512 {
namespace {

template <class Dots>
void set(CpuKernels& kernels) {
  set_matmul<Q2_K, Dots>(kernels, DType::kQ2_K);
  set_matmul<Q3_K, Dots>(kernels, DType::kQ3_K);
  set_matmul<Q45_K<false>, Dots>(kernels, DType::kQ4_K);
  set_matmul<Q45_K<true>, Dots>(kernels, DType::kQ5_K);
  set_matmul<Q6_K, Dots>(kernels, DType::kQ6_K);
}

}  // namespace

void set_matmul_k(CpuKernels& kernels) {
  set<DotsVnni>(kernels);
}

void set_matmul_k_amx(CpuKernels& kernels) {
  set<DotsAmx>(kernels);
}

}  // namespace spillway::ops::cpu::avx512
