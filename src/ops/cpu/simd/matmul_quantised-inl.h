// Matmul over quantised weights, whatever their dtype: a format says how its blocks become 16-bit
// integers, a scale per 32 columns and minima; the rest is here. Rows are unpacked four at a time,
// a tile of columns each, and serve all tokens from the first-level cache. Each (row, token) is
// added up in the order of tiles and columns, whatever is computed beside it. Compiled once per
// target, within foreach_target.
#if defined(SPILLWAY_OPS_CPU_SIMD_MATMUL_QUANTISED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPILLWAY_OPS_CPU_SIMD_MATMUL_QUANTISED_INL_H_
#undef SPILLWAY_OPS_CPU_SIMD_MATMUL_QUANTISED_INL_H_
#else
#define SPILLWAY_OPS_CPU_SIMD_MATMUL_QUANTISED_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

inline constexpr size_t kTileColumns = 1024;

// Which sums of the input a format's minima are multiplied with.
enum class Minima { kNone, kPer32, kPer16 };

// Columns of one row: weight = integer × scales[column / 32] + minima[column / 32 or 16].
struct UnpackedRow {
  alignas(64) int16_t values[kTileColumns];
  float scales[kTileColumns / kScaleColumns];
  float minima[kTileColumns / kSubColumns];
};

using Sub = hn::CappedTag<int16_t, kSubColumns>;  // at most the 16 columns of the finest scales
using Integers = hn::Vec<Sub>;

HWY_INLINE Integers load_bytes_as_integers(const std::byte* from) {
  const hn::Rebind<uint8_t, Sub> d8;
  return hn::PromoteTo(Sub(), hn::LoadU(d8, reinterpret_cast<const uint8_t*>(from)));
}

// Bit i of `bits` in lane i, as `value` or 0.
HWY_INLINE Integers expand_bits(uint32_t bits, int16_t value) {
  alignas(64) static constexpr uint16_t kBit[16] = {1,   2,   4,    8,    16,   32,   64,    128,
                                                    256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
  const hn::RebindToUnsigned<Sub> du;
  const auto all = hn::Set(du, static_cast<uint16_t>(bits));
  const auto set = hn::RebindMask(Sub(), hn::TestBit(all, hn::Load(du, kBit)));
  return hn::IfThenElseZero(set, hn::Set(Sub(), value));
}

// Σ a[i] × b[i].
HWY_INLINE float dot(const float* a, const float* b, size_t count) {
  const hn::ScalableTag<float> df;
  auto sums = hn::Zero(df);
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df))
    sums = hn::MulAdd(hn::LoadU(df, a + i), hn::LoadU(df, b + i), sums);
  float sum = sum_of(df, sums);
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// The products of 32 columns as 32-bit lanes that add up to their sum.
HWY_INLINE hn::Vec<hn::ScalableTag<int32_t>> block_products(const int16_t* w, const int8_t* x) {
  const hn::CappedTag<int16_t, kScaleColumns> d16;
  const hn::Rebind<int8_t, decltype(d16)> d8;
  const hn::ScalableTag<int32_t> d32;
  auto sums = hn::Zero(d32);
  auto unused = hn::Zero(d32);  // some targets spread the sums over two vectors; x86 does not
  for (size_t i = 0; i < kScaleColumns; i += hn::Lanes(d16)) {
    const auto wide = hn::PromoteTo(d16, hn::LoadU(d8, x + i));
    sums = hn::ReorderWidenMulAccumulate(d32, hn::Load(d16, w + i), wide, sums, unused);
  }
  return hn::Add(sums, unused);
}

// Adds one tile's share, `columns` from `first` on, to y of kRows rows and one token.
template <Minima kMinima, size_t kRows>
HWY_INLINE void add_tile(const UnpackedRow* rows, const PreparedToken<const std::byte>& token,
                         size_t first, size_t columns, float* y) {
  const hn::ScalableTag<float> df;
  hn::Vec<decltype(df)> sums[kRows];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) sums[r] = hn::Zero(df);
  const float* scales = token.scales + first / kScaleColumns;
  for (size_t block = 0; block < columns / kScaleColumns; ++block) {
    const size_t column = block * kScaleColumns;
    HWY_UNROLL(4)
    for (size_t r = 0; r < kRows; ++r) {
      const auto products = block_products(rows[r].values + column, token.values + first + column);
      const auto scale = hn::Set(df, rows[r].scales[block] * scales[block]);
      sums[r] = hn::MulAdd(hn::ConvertTo(df, products), scale, sums[r]);
    }
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    float sum = sum_of(df, sums[r]);
    if constexpr (kMinima == Minima::kPer32)
      sum += dot(rows[r].minima, token.sums32 + first / kScaleColumns, columns / kScaleColumns);
    if constexpr (kMinima == Minima::kPer16)
      sum += dot(rows[r].minima, token.sums16 + first / kSubColumns, columns / kSubColumns);
    y[r] = first == 0 ? sum : y[r] + sum;
  }
}

template <class Format, size_t kRows>
void multiply_rows(const MatmulTask& task, size_t row) {
  const WeightRows& weight = task.weight;
  const size_t row_size = weight.columns / Format::kColumns * Format::kBytes;
  UnpackedRow rows[kRows];
  for (size_t first = 0; first < weight.columns; first += kTileColumns) {
    const size_t columns = std::min(kTileColumns, weight.columns - first);
    HWY_UNROLL(4)
    for (size_t r = 0; r < kRows; ++r) {
      const std::byte* blocks =
          weight.data + (row + r) * row_size + first / Format::kColumns * Format::kBytes;
      for (size_t c = 0; c < columns; c += Format::kColumns, blocks += Format::kBytes) {
        Format::unpack(blocks, rows[r].values + c, rows[r].scales + c / kScaleColumns,
                       rows[r].minima + c / Format::kMinimumColumns);
      }
    }
    for (size_t t = 0; t < task.input.tokens; ++t) {
      add_tile<Format::kMinima, kRows>(rows,
                                       prepared_token(task.input.quantised, t, weight.columns),
                                       first, columns, task.y + t * task.y_stride + row);
    }
  }
}

template <class Format>
void matmul_quantised(const MatmulTask& task, size_t row, size_t end_row) {
  for (; row + 4 <= end_row; row += 4) multiply_rows<Format, 4>(task, row);
  for (; row < end_row; ++row) multiply_rows<Format, 1>(task, row);
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
