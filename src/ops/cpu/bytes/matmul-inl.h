// The table of an Isa's products: one token at once, or several.
#pragma once

#include "ops/cpu/bytes/formats_k-inl.h"
#include "ops/cpu/bytes/formats_legacy-inl.h"
#include "ops/cpu/bytes/multiply_token-inl.h"
#include "ops/cpu/bytes/multiply_tokens-inl.h"

namespace spillway::ops::cpu::bytes {
namespace {

template <class Isa, class Format>
void matmul(const MatmulTask& task, size_t row, size_t end_row) {
  if (task.input.tokens == 1) {
    multiply_token<Isa, Format>(task, row, end_row);
  } else {
    multiply_tokens<Isa, Format>(task, row, end_row);
  }
}

template <class Isa>
void set_matmul(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kQ4_0)] = matmul<Isa, Legacy<4, false>>;
  kernels.matmul[slot(DType::kQ4_1)] = matmul<Isa, Legacy<4, true>>;
  kernels.matmul[slot(DType::kQ5_0)] = matmul<Isa, Legacy<5, false>>;
  kernels.matmul[slot(DType::kQ5_1)] = matmul<Isa, Legacy<5, true>>;
  kernels.matmul[slot(DType::kQ8_0)] = matmul<Isa, Q8_0>;
  kernels.matmul[slot(DType::kQ2_K)] = matmul<Isa, Q2_K>;
  kernels.matmul[slot(DType::kQ3_K)] = matmul<Isa, Q3_K>;
  kernels.matmul[slot(DType::kQ4_K)] = matmul<Isa, Q45_K<false>>;
  kernels.matmul[slot(DType::kQ5_K)] = matmul<Isa, Q45_K<true>>;
  kernels.matmul[slot(DType::kQ6_K)] = matmul<Isa, Q6_K>;
}

}  // namespace
}  // namespace spillway::ops::cpu::bytes
