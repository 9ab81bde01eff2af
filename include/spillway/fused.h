// Spillway's joined operations for C: what PyTorch launches as many small kernels of one operation
// each, in fewer, with the same bits as a result. A part of spillway/spillway.h, whose rules hold
// here. All memory is the GPU's or reached by it; nothing overlaps. Asynchronous, in the stream.
// SPILLWAY_MACHINE also: the library was built without kernels.
#pragma once

#include "spillway/row_worker.h"

#ifdef __cplusplus
extern "C" {
#endif
// NOLINTBEGIN(modernize-use-using): C has no other way to name a type

// to[i] = x[i] * x[i], as floats.
typedef struct spillway_squares {
  size_t size;
  const void* x;
  float* to;
  uint64_t count;
  spillway_dtype dtype;  // of x
  int32_t reserved;      // 0
} spillway_squares;

// y[r, c] = weight[c] * (x[r, c] / sqrt(means[r] + epsilon)), the quotient rounded to the dtype:
// what follows the means of the squares of rows in an RMS norm.
typedef struct spillway_norm_options {
  size_t size;
  const void* x;       // [rows, columns]
  const float* means;  // [rows]; null for norm_row
  const void* weight;  // [columns]
  void* y;             // [rows, columns]
  uint64_t rows;
  uint64_t columns;
  float epsilon;
  spillway_dtype dtype;  // of x, weight and y
} spillway_norm_options;

// How norm_row adds up the squares of a row: as PyTorch's kernel for the mean of one row, in one of
// two versions. Who needs its bits tries both (src/ops/fused.h says what they are).
typedef int32_t spillway_sum_order;
enum {
  SPILLWAY_HALVING = 0,
  SPILLWAY_DOUBLING = 1,
};

// y[i] = silu(x[i]) * factor[i], silu(x) = x / (1 + exp(-x)) rounded to the dtype.
typedef struct spillway_silu_options {
  size_t size;
  const void* x;
  const void* factor;
  void* y;
  uint64_t count;
  spillway_dtype dtype;  // of all of it
  int32_t reserved;      // 0
} spillway_silu_options;

// q and k of one token a sequence, turned by its position: x * cos + rotated * sin, both products
// rounded to the dtype, where rotated is the second half of x, negated, and then the first one.
typedef struct spillway_rotation {
  size_t size;
  const void* q;    // [batch, q_heads, dim]
  const void* k;    // [batch, k_heads, dim]
  const void* cos;  // [angles, dim]
  const void* sin;
  void* q_to;
  void* k_to;
  uint64_t batch;
  uint64_t q_heads;
  uint64_t k_heads;
  uint64_t dim;          // even
  uint64_t angles;       // batch, or 1 for all sequences
  spillway_dtype dtype;  // of all of it
  int32_t reserved;      // 0
} spillway_rotation;

// to[i] becomes what is at from[i], of both: `bytes` each, a multiple of 4, as the addresses are.
typedef struct spillway_two_copies {
  size_t size;
  const void* from[2];
  void* to[2];
  uint64_t bytes;
} spillway_two_copies;

spillway_status spillway_square(spillway_pool* pool, const spillway_squares* what,
                                spillway_stream stream);
spillway_status spillway_norm_rows(spillway_pool* pool, const spillway_norm_options* what,
                                   spillway_stream stream);
// With the mean of the squares, of one row of 256 to 65536 columns, a multiple of 4.
spillway_status spillway_norm_row(spillway_pool* pool, const spillway_norm_options* what,
                                  spillway_sum_order order, spillway_stream stream);
spillway_status spillway_silu_times(spillway_pool* pool, const spillway_silu_options* what,
                                    spillway_stream stream);
spillway_status spillway_copy_two(spillway_pool* pool, const spillway_two_copies* what,
                                  spillway_stream stream);
spillway_status spillway_rotate(spillway_pool* pool, const spillway_rotation* what,
                                spillway_stream stream);

// NOLINTEND(modernize-use-using)
#ifdef __cplusplus
}
#endif
