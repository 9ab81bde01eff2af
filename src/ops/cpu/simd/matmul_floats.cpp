// Matmul over F32, F16 and BF16 weights: four rows at a time share the loads of the input. Each
// (row, token) is added up in its own lanes in the order of columns, whatever is computed beside
// it.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/matmul_floats.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

// kRows rows of weights (row_bytes apart) and kTokens tokens (columns apart).
struct Tile {
  const std::byte* weights;
  size_t row_bytes;
  const float* x;
  size_t columns;
  float* y;
  size_t y_stride;
  bool first = true;  // tokens: the others find the weights in the cache
};

// Rows are read as streams too short for the processor to learn all of each: asking for what comes
// gave 0.94 of the read rate for 0.87 (one token, bf16; ops_bench). 1 KiB to 4 KiB do as well.
constexpr size_t kAheadBytes = 2048;

template <DType kType, size_t kRows>
HWY_INLINE void prefetch(const Tile& tile, size_t column) {
  for (size_t r = 0; r < kRows; ++r) {
    const std::byte* from = tile.weights + r * tile.row_bytes + column * kElementBytes<kType>;
    hwy::Prefetch(from + kAheadBytes);
  }
}

template <DType kType, size_t kRows, size_t kTokens>
HWY_INLINE void add_products(Floats df, const Tile& tile, size_t column,
                             Vector (&sums)[kRows][kTokens]) {
  Vector x[kTokens];
  for (size_t t = 0; t < kTokens; ++t) x[t] = hn::LoadU(df, tile.x + t * tile.columns + column);
  for (size_t r = 0; r < kRows; ++r) {
    const std::byte* from = tile.weights + r * tile.row_bytes + column * kElementBytes<kType>;
    const Vector w = load_floats<kType>(df, from);
    for (size_t t = 0; t < kTokens; ++t) sums[r][t] = hn::MulAdd(w, x[t], sums[r][t]);
  }
}

// Fewer columns than lanes.
template <DType kType, size_t kRows, size_t kTokens>
HWY_NOINLINE void add_last_products(const Tile& tile, size_t column,
                                    Vector (&sums)[kRows][kTokens]) {
  const Floats df;
  const size_t count = tile.columns - column;
  for (size_t r = 0; r < kRows; ++r) {
    const std::byte* from = tile.weights + r * tile.row_bytes + column * kElementBytes<kType>;
    const Vector w = load_floats_part<kType>(df, from, count);
    for (size_t t = 0; t < kTokens; ++t) {
      const Vector x = load_part(df, tile.x + t * tile.columns + column, count);
      sums[r][t] = hn::MulAdd(w, x, sums[r][t]);
    }
  }
}

template <DType kType, size_t kRows, size_t kTokens>
void compute(const Tile& tile) {
  const Floats df;
  const size_t lanes = hn::Lanes(df);
  Vector even[kRows][kTokens];  // two sums each, because a fused multiply-add takes four cycles
  Vector odd[kRows][kTokens];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t t = 0; t < kTokens; ++t) even[r][t] = odd[r][t] = hn::Zero(df);
  }
  size_t column = 0;
  for (; column + 2 * lanes <= tile.columns; column += 2 * lanes) {
    if (tile.first) prefetch<kType, kRows>(tile, column);
    add_products<kType>(df, tile, column, even);
    add_products<kType>(df, tile, column + lanes, odd);
  }
  if (column + lanes <= tile.columns) {
    add_products<kType>(df, tile, column, even);
    column += lanes;
  }
  if (column < tile.columns) add_last_products<kType>(tile, column, odd);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t t = 0; t < kTokens; ++t)
      tile.y[t * tile.y_stride + r] = sum_of(df, hn::Add(even[r][t], odd[r][t]));
  }
}

constexpr size_t kMostTokens = kManyRegisters ? 2 : 1;

template <DType kType, size_t kRows>
void compute_rows(const MatmulTask& task, size_t row) {
  const WeightRows& weight = task.weight;
  const size_t row_bytes = weight.columns * kElementBytes<kType>;
  Tile tile{weight.data + row * row_bytes,
            row_bytes,
            task.input.floats,
            weight.columns,
            task.y + row,
            task.y_stride};
  size_t t = 0;
  const auto next = [&](size_t tokens) {
    t += tokens;
    tile.first = false;
    tile.x += tokens * tile.columns;
    tile.y += tokens * tile.y_stride;
  };
  for (; t + kMostTokens <= task.input.tokens; next(kMostTokens))
    compute<kType, kRows, kMostTokens>(tile);
  for (; t < task.input.tokens; next(1)) compute<kType, kRows, 1>(tile);
}

template <DType kType>
void matmul(const MatmulTask& task, size_t row, size_t end_row) {
  for (; row + 4 <= end_row; row += 4) compute_rows<kType, 4>(task, row);
  for (; row < end_row; ++row) compute_rows<kType, 1>(task, row);
}

void fill_matmul_floats(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kF32)] = matmul<DType::kF32>;
  kernels.matmul[slot(DType::kF16)] = matmul<DType::kF16>;
  kernels.matmul[slot(DType::kBF16)] = matmul<DType::kBF16>;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_matmul_floats);
void simd::set_matmul_floats(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_matmul_floats), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
