// Quantisers of the K formats, blocks of 256 values (weight_quantiser.h). Pure functions; any
// thread.
#pragma once

#include <cstddef>

namespace spillway::ops {

void quantise_q4_k(const float* values, std::byte* row, size_t columns);
void quantise_q5_k(const float* values, std::byte* row, size_t columns);
void quantise_q6_k(const float* values, std::byte* row, size_t columns);

}  // namespace spillway::ops
