// A form of quantised matrices in which sixteen rows lie together, so that vector instructions meet
// sixteen rows at once and memory passes by in one stream: within each block the numbers of sixteen
// rows stand side by side. It has the same bytes, in another order, so that it takes a matrix's
// place. Pure functions; any thread.
//
// A group is 16 rows; of it each block is, one after the other: what the format has as f16, [16
// rows]; the dwords of its other bytes, each [16 rows]. Scales of a K format come before its
// values. The fifth bits of Q5_0 and Q5_1 are eight words of 64 bits, one of every four columns:
// bit 4 × row
// + column.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace spillway::ops {

inline constexpr size_t kInterleavedRows = 16;

// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool has_interleaved_form(DType dtype);

// Word i of sixteen rows, which are row_bytes apart, side by side, for `words` words one behind the
// other.
using InterleaveWords = void (*)(const std::byte* rows, size_t row_bytes, size_t words,
                                 std::byte* to);
void interleave_words(const std::byte* rows, size_t row_bytes, size_t words, std::byte* to);

// One group: rows of `columns`, one behind the other, into `group`. They do not overlap.
void interleave_group(DType dtype, size_t columns, const std::byte* rows, std::byte* group,
                      InterleaveWords words = interleave_words);

// Row `row` < 16 of a group, as it was.
void extract_row(DType dtype, size_t columns, const std::byte* group, size_t row, std::byte* out);

}  // namespace spillway::ops
