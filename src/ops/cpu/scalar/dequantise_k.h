// Rows of the K formats, blocks of 256 values, as floats. Pure functions; any thread.
#pragma once

#include <cstddef>

namespace spillway::ops::cpu::scalar {

void dequantise_q2_k(const std::byte* row, float* out, size_t columns);
void dequantise_q3_k(const std::byte* row, float* out, size_t columns);
void dequantise_q4_k(const std::byte* row, float* out, size_t columns);
void dequantise_q5_k(const std::byte* row, float* out, size_t columns);
void dequantise_q6_k(const std::byte* row, float* out, size_t columns);

}  // namespace spillway::ops::cpu::scalar
