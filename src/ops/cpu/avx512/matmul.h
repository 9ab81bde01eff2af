// The kernel of a format: one token at once, or several (kernels.h).
#pragma once

#include "ops/cpu/avx512/multiply_interleaved.h"
#include "ops/cpu/avx512/multiply_token.h"
#include "ops/cpu/avx512/multiply_tokens.h"

namespace spillway::ops::cpu::avx512 {
namespace {

template <class Format, class Dots>
void matmul(const MatmulTask& task, size_t row, size_t end_row) {
  if (task.input.tokens == 1) {
    if constexpr (HasInterleaved<Format>)
      if (task.weight.interleaved) return multiply_token_interleaved<Format>(task, row, end_row);
    multiply_token<Format>(task, row, end_row);
  } else {
    multiply_tokens<Format, Dots>(task, row, end_row);
  }
}

// The kernel takes interleaved rows too, where the format has that form.
template <class Format, class Dots>
void set_matmul(CpuKernels& kernels, DType dtype) {
  kernels.matmul[slot(dtype)] = matmul<Format, Dots>;
  kernels.interleaved[slot(dtype)] = HasInterleaved<Format>;
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
