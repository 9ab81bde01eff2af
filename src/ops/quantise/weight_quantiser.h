// Rows of floats as rows of a dtype: how a model's weights are written. Not the left side of a
// matmul, which has a form of its own (ops.h). Pure functions; any thread.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace spillway::ops {

// `values` are finite, `columns` of them, whole blocks; `row` has row_bytes(dtype, columns).
using QuantiseRow = void (*)(const float* values, std::byte* row, size_t columns);

// null: weights are not written in this dtype. F32, F16, BF16, Q4_0 to Q8_0, Q4_K, Q5_K, Q6_K are.
QuantiseRow weight_quantiser(DType dtype);

// The way back, of every dtype: for many rows at once on many threads.
using DequantiseRow = void (*)(const std::byte* row, float* values, size_t columns);
DequantiseRow weight_dequantiser(DType dtype);

}  // namespace spillway::ops
