// Quantisers of floats and of the formats with blocks of 32 values (weight_quantiser.h). Pure
// functions; any thread.
#pragma once

#include <cstddef>

namespace spillway::ops {

void quantise_f32(const float* values, std::byte* row, size_t columns);
void quantise_f16(const float* values, std::byte* row, size_t columns);
void quantise_bf16(const float* values, std::byte* row, size_t columns);
void quantise_q4_0(const float* values, std::byte* row, size_t columns);
void quantise_q4_1(const float* values, std::byte* row, size_t columns);
void quantise_q5_0(const float* values, std::byte* row, size_t columns);
void quantise_q5_1(const float* values, std::byte* row, size_t columns);
void quantise_q8_0(const float* values, std::byte* row, size_t columns);

}  // namespace spillway::ops
