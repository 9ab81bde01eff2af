// The product with one token: eight rows at a time, four to a vector of sums, from the weights'
// bytes to sums without a detour through memory.
#pragma once

#include "ops/cpu/avx512/group.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

inline constexpr Ahead kAhead = {.far = 8192, .near = 2048};  // of the end of the rows at hand

HWY_INLINE __m512i dot_bytes(__m512i sums, __m512i bytes, __m512i integers) {
  return _mm512_dpbusd_epi32(sums, bytes, integers);
}

// Whether the product with one token takes a format's bytes with the halves of blocks 1 and 3
// exchanged: Format::crossed().
template <class Format>
concept Crossed = requires {
  requires Format::kCrossed;
};

// A group's columns of the token: `blocks` of 32, at most four.
struct Columns {
  const Token& token;
  size_t first;
  size_t blocks;
};

// What they hold, in halves of its blocks (maybe crossed), or of formats with a
// scale per 16 columns in order: blocks 0 and 1, then 2 and 3. The starts are what the weights'
// centre contributes, negated.
struct Input {
  __m512i low;
  __m512i high;
  __m512i start_low;
  __m512i start_high;
  __m512 scale;  // lane 4 × block + row
};

template <class Format>
HWY_INLINE Input load_input(const Columns& columns) {
  const auto& [token, column, blocks] = columns;
  const int8_t* values = token.values + column;
  const float* scales = token.scales + column / kScaleColumns;
  __m512i first;
  __m512i second;
  Input input;
  if (blocks >= kGroupBlocks) {
    first = _mm512_loadu_si512(values);
    second = _mm512_loadu_si512(values + 64);
    input.scale = four_times_four(_mm_loadu_ps(scales));
  } else {
    const uint64_t half = 0xFFFFFFFFU;
    first = _mm512_maskz_loadu_epi8(blocks >= 2 ? ~0ULL : half, values);
    second = _mm512_maskz_loadu_epi8(blocks >= 3 ? half : 0, values + 64);
    const auto lanes = static_cast<__mmask8>((1U << blocks) - 1U);
    input.scale = four_times_four(_mm_maskz_loadu_ps(lanes, scales));
  }
  if constexpr (Format::kScales == Per::k16) {
    input.low = first;
    input.high = second;
  } else if constexpr (Crossed<Format>) {
    const __m512i low = _mm512_set_epi64(15, 14, 9, 8, 7, 6, 1, 0);     // 16-byte pieces 0, 3, 4, 7
    const __m512i high = _mm512_set_epi64(13, 12, 11, 10, 5, 4, 3, 2);  // 1, 2, 5, 6
    input.low = _mm512_permutex2var_epi64(first, low, second);
    input.high = _mm512_permutex2var_epi64(first, high, second);
  } else {
    input.low = _mm512_shuffle_i64x2(first, second, 0x88);   // 16-byte pieces 0, 2, 4, 6
    input.high = _mm512_shuffle_i64x2(first, second, 0xDD);  // 1, 3, 5, 7
  }
  const __m512i zero = _mm512_setzero_si512();
  input.start_low = input.start_high = zero;
  if constexpr (Format::kCentre != 0) {
    const __m512i centre = _mm512_set1_epi8(static_cast<char>(Format::kCentre));
    __m512i low = dot_bytes(zero, centre, input.low);
    if constexpr (Format::kScales == Per::k32) {
      low = dot_bytes(low, centre, input.high);
    } else {
      input.start_high = _mm512_sub_epi32(zero, dot_bytes(zero, centre, input.high));
    }
    input.start_low = _mm512_sub_epi32(zero, low);
  }
  return input;
}

// Lanes 0 + 2 of a, 0 + 2 of b, 1 + 3 of a, 1 + 3 of b, in each 128 bits.
HWY_INLINE __m512i sums_of_pairs(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

// Sums of the four lanes of each quarter of four rows: lane 4 × quarter + row.
HWY_INLINE __m512i sums_of_quarters(const __m512i (&rows)[4]) {
  const __m512i first = sums_of_pairs(rows[0], rows[1]);
  const __m512i second = sums_of_pairs(rows[2], rows[3]);
  return _mm512_add_epi32(_mm512_unpacklo_epi64(first, second),
                          _mm512_unpackhi_epi64(first, second));
}

// Σ input of the blocks, or of their halves, for lanes 4 × block + row.
template <class Format>
HWY_INLINE __m512 add_minima(const Columns& columns, const Scales& scales, __m512 sums) {
  const auto& [token, column, blocks] = columns;
  const __mmask16 lanes = first_lanes(blocks);
  if constexpr (Format::kMinima == Per::k32) {
    const float* x = token.sums32 + column / kScaleColumns;
    const __m128 four = blocks >= kGroupBlocks
                            ? _mm_loadu_ps(x)
                            : _mm_maskz_loadu_ps(static_cast<__mmask8>(lanes), x);
    sums = _mm512_fmadd_ps(scales.minima_low, four_times_four(four), sums);
  }
  if constexpr (Format::kMinima == Per::k16) {  // of K formats only: the group is whole
    const __m512 eight =
        _mm512_castps256_ps512(_mm256_loadu_ps(token.sums16 + column / kSubColumns));
    const __m512i even = _mm512_set_epi32(6, 6, 6, 6, 4, 4, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0);
    const __m512i odd = _mm512_set_epi32(7, 7, 7, 7, 5, 5, 5, 5, 3, 3, 3, 3, 1, 1, 1, 1);
    sums = _mm512_fmadd_ps(scales.minima_low, _mm512_permutexvar_ps(even, eight), sums);
    sums = _mm512_fmadd_ps(scales.minima_high, _mm512_permutexvar_ps(odd, eight), sums);
  }
  return sums;
}

template <class Format>
HWY_INLINE Bytes bytes_of_row(const std::byte* row, size_t half, size_t blocks) {
  if constexpr (Crossed<Format>) {
    return Format::crossed(row, half);
  } else {
    return Format::bytes(row, half, blocks);
  }
}

template <class Format>
HWY_INLINE __m512 add_group(const Rows& rows, size_t half, const Columns& columns, const Input& x,
                            __m512 sums) {
  const size_t blocks = columns.blocks;
  const Scales scales = Format::scales(rows, half, blocks);
  sums = add_minima<Format>(columns, scales, sums);
  __m512i low[4];
  [[maybe_unused]] __m512i high[4];
  HWY_UNROLL(4)
  for (size_t r = 0; r < 4; ++r) {
    if constexpr (Format::kScales == Per::k32) {
      const Bytes bytes = bytes_of_row<Format>(rows.at[r], half, blocks);
      low[r] = dot_bytes(dot_bytes(x.start_low, bytes.low, x.low), bytes.high, x.high);
    } else {
      const auto bytes = Format::in_order(rows.at[r], half);
      low[r] = dot_bytes(x.start_low, bytes.first, x.low);
      high[r] = dot_bytes(x.start_high, bytes.second, x.high);
    }
  }
  __m512 products;
  if constexpr (Format::kScales == Per::k32) {
    products = _mm512_mul_ps(_mm512_cvtepi32_ps(sums_of_quarters(low)), scales.low);
  } else {
    const __m512i first = sums_of_quarters(low);    // of blocks 0 and 1, two sums each
    const __m512i second = sums_of_quarters(high);  // 2 and 3
    const __m512 of_low = _mm512_cvtepi32_ps(_mm512_shuffle_i64x2(first, second, 0x88));
    const __m512 of_high = _mm512_cvtepi32_ps(_mm512_shuffle_i64x2(first, second, 0xDD));
    products = _mm512_fmadd_ps(of_high, scales.high, _mm512_mul_ps(of_low, scales.low));
  }
  return _mm512_fmadd_ps(products, x.scale, sums);
}

template <class Format, size_t kFours>
HWY_INLINE void add_groups(const Rows (&rows)[kFours], size_t half, const Columns& columns,
                           __m512 (&sums)[kFours]) {
  const Input x = load_input<Format>(columns);
  HWY_UNROLL(2)
  for (size_t i = 0; i < kFours; ++i)
    sums[i] = add_group<Format>(rows[i], half, columns, x, sums[i]);
}

// Rows [row, end), at most 4 × kFours of them.
template <class Format, size_t kFours>
void multiply_rows(const MatmulTask& task, size_t row, size_t end) {
  const WeightRows& weight = task.weight;
  const size_t columns = weight.columns;
  const size_t row_size = columns / Format::kColumns * Format::kBytes;
  const Token token = prepared_token(task.input.quantised, 0, columns);
  Rows rows[kFours];
  for (size_t r = 0; r < 4 * kFours; ++r)
    rows[r / 4].at[r % 4] = weight.data + std::min(row + r, end - 1) * row_size;
  constexpr size_t kAtOnce = 4 * kFours * kStepBytes<Format>;
  const std::byte* ahead = rows[0].at[0] + 4 * kFours * row_size;
  __m128 totals[kFours];
  for (size_t first = 0; first < columns; first += kTileColumns) {
    const size_t end_column = std::min(columns, first + kTileColumns);
    __m512 sums[kFours];
    HWY_UNROLL(2)
    for (__m512& sum : sums) sum = _mm512_setzero_ps();
    size_t column = first;
    constexpr size_t kStep = kStepColumns<Format>;
    for (; column + kStep <= end_column; column += kStep) {
      prefetch<0, kAtOnce>(calls_from(ahead, kAhead));
      ahead += kAtOnce;
      HWY_UNROLL(2)
      for (size_t half = 0; half < kStep / kGroupColumns; ++half)
        add_groups<Format>(rows, half, {token, column + half * kGroupColumns, kGroupBlocks}, sums);
      for (Rows& four : rows) four = four.plus(kStepBytes<Format>);
    }
    if (column < end_column)
      add_groups<Format>(rows, 0, {token, column, (end_column - column) / kScaleColumns}, sums);
    for (size_t i = 0; i < kFours; ++i) {
      const __m128 tile = sum_of_quarters(sums[i]);
      totals[i] = first == 0 ? tile : _mm_add_ps(totals[i], tile);
    }
  }
  for (size_t i = 0; i < kFours && row + 4 * i < end; ++i) {
    const size_t at = row + 4 * i;
    _mm_mask_storeu_ps(task.y + at, static_cast<__mmask8>(first_lanes(end - at)), totals[i]);
  }
}

template <class Format>
void multiply_token(const MatmulTask& task, size_t row, size_t end_row) {
  for (; row + 4 < end_row; row += 8)
    multiply_rows<Format, 2>(task, row, std::min(end_row, row + 8));
  if (row < end_row) multiply_rows<Format, 1>(task, row, end_row);
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
