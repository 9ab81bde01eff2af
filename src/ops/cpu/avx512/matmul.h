// The kernel of a format: one token at once, or several (kernels.h).
#pragma once

#include "ops/cpu/avx512/multiply_token.h"
#include "ops/cpu/avx512/multiply_tokens.h"

namespace spillway::ops::cpu::avx512 {
namespace {

template <class Format, class Dots>
void matmul(const MatmulTask& task, size_t row, size_t end_row) {
  if (task.input.tokens == 1) {
    multiply_token<Format>(task, row, end_row);
  } else {
    multiply_tokens<Format, Dots>(task, row, end_row);
  }
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
