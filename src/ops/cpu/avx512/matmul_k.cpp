#include "ops/cpu/avx512/dots_amx.h"
#include "ops/cpu/avx512/dots_vnni.h"
#include "ops/cpu/avx512/formats_k.h"
#include "ops/cpu/avx512/kernels.h"
#include "ops/cpu/avx512/matmul.h"

namespace spillway::ops::cpu::avx512 {
namespace {

template <class Dots>
void set(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kQ2_K)] = matmul<Q2_K, Dots>;
  kernels.matmul[slot(DType::kQ3_K)] = matmul<Q3_K, Dots>;
  kernels.matmul[slot(DType::kQ4_K)] = matmul<Q45_K<false>, Dots>;
  kernels.matmul[slot(DType::kQ5_K)] = matmul<Q45_K<true>, Dots>;
  kernels.matmul[slot(DType::kQ6_K)] = matmul<Q6_K, Dots>;
}

}  // namespace

void set_matmul_k(CpuKernels& kernels) {
  set<DotsVnni>(kernels);
}

void set_matmul_k_amx(CpuKernels& kernels) {
  set<DotsAmx>(kernels);
}

}  // namespace spillway::ops::cpu::avx512
