// Matmul over quantised weights whatever their dtype: a format unpacks a tile of a row, the rest is
// here. Four rows at a time share the loads of the input, and all tokens an unpacked tile. Each
// (row, token) is added up in the order of tiles, groups and lanes, whatever is computed beside it.
// A format has: kColumns and kBytes of its blocks, kCentre, kScales, kMinima, and
//   static void unpack(const std::byte* blocks, size_t blocks32, UnpackedRow& row).
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "base/units.h"
#include "hwy/base.h"
#include "ops/cpu/avx512/target.h"
#include "ops/cpu/avx512/unpacked_row.h"
#include "ops/cpu/kernels.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

inline constexpr size_t kPrefetchBytes = 4096;

using Token = PreparedToken<const std::byte>;

// Lane i has float i / 4 of `four`.
HWY_INLINE __m512 four_times_four(__m128 four) {
  const __m512i index = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutevar_ps(_mm512_broadcast_f32x4(four), index);
}

// The first `count` of 16 lanes.
HWY_INLINE __mmask16 first_lanes(size_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1U);
}

HWY_INLINE __m512i dot_bytes(__m512i sums, __m512i bytes, __m512i integers) {
  return _mm512_dpbusd_epi32(sums, bytes, integers);
}

// A group's columns of one token. The starts are what the weights' centre contributes, negated.
struct Input {
  __m512i low;
  __m512i high;
  __m512i start_low;
  __m512i start_high;
  __m512 scale;
};

template <class Format>
HWY_INLINE Input make_input(__m512i first, __m512i second, __m128 scales) {
  Input input;
  input.low = _mm512_shuffle_i64x2(first, second, 0x88);   // 16-byte pieces 0, 2, 4, 6
  input.high = _mm512_shuffle_i64x2(first, second, 0xDD);  // 1, 3, 5, 7
  input.scale = four_times_four(scales);
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

// `blocks` of 32 columns, at most four.
template <class Format>
HWY_INLINE Input load_input(const Token& token, size_t column, size_t blocks) {
  const int8_t* values = token.values + column;
  const float* scales = token.scales + column / kScaleColumns;
  if (blocks >= kGroupBlocks) {
    return make_input<Format>(_mm512_loadu_si512(values), _mm512_loadu_si512(values + 64),
                              _mm_loadu_ps(scales));
  }
  const uint64_t half = 0xFFFFFFFFU;
  const __mmask64 first = blocks >= 2 ? ~0ULL : half;
  const __mmask64 second = blocks >= 3 ? half : 0;
  const auto lanes = static_cast<__mmask8>((1U << blocks) - 1U);
  return make_input<Format>(_mm512_maskz_loadu_epi8(first, values),
                            _mm512_maskz_loadu_epi8(second, values + 64),
                            _mm_maskz_loadu_ps(lanes, scales));
}

template <class Format>
HWY_INLINE __m512 add_group(const UnpackedRow& row, size_t group, const Input& x, __m512 sums) {
  const __m512i low = _mm512_load_si512(row.values[group][0]);
  const __m512i high = _mm512_load_si512(row.values[group][1]);
  const __m512 scale = _mm512_load_ps(row.scales[group][0]);
  __m512i products = dot_bytes(x.start_low, low, x.low);
  if constexpr (Format::kScales == Per::k32) {
    products = dot_bytes(products, high, x.high);
    return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(products), scale), x.scale, sums);
  } else {
    const __m512i products_high = dot_bytes(x.start_high, high, x.high);
    const __m512 scale_high = _mm512_load_ps(row.scales[group][1]);
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(products), scale);
    const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products_high), scale_high, scaled);
    return _mm512_fmadd_ps(both, x.scale, sums);
  }
}

// Σ minima × the input's sums, spread over lanes.
template <class Format>
HWY_INLINE __m512 minima_part(const UnpackedRow& row, const Token& token, size_t first,
                              size_t columns) {
  __m512 sums = _mm512_setzero_ps();
  if constexpr (Format::kMinima != Per::kNone) {
    constexpr size_t kSpacing = Format::kMinima == Per::k32 ? kScaleColumns : kSubColumns;
    const float* x = (Format::kMinima == Per::k32 ? token.sums32 : token.sums16) + first / kSpacing;
    const size_t count = columns / kSpacing;
    for (size_t i = 0; i < count; i += 16) {
      const __m512 part = _mm512_maskz_loadu_ps(first_lanes(count - i), x + i);
      sums = _mm512_fmadd_ps(_mm512_load_ps(row.minima + i), part, sums);
    }
  }
  return sums;
}

// The sums of the lanes of four vectors, each added up in the same order.
HWY_INLINE __m128 sums_of_lanes(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 abcd =
      _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// Adds one tile's share to y of kRows (1 or 4) rows and one token.
template <class Format, size_t kRows>
HWY_INLINE void add_tile(const UnpackedRow* rows, const Token& token, size_t first, size_t columns,
                         float* y) {
  __m512 sums[kRows];
  for (size_t r = 0; r < kRows; ++r) sums[r] = minima_part<Format>(rows[r], token, first, columns);
  const size_t blocks = columns / kScaleColumns;
  size_t group = 0;
  for (; group < blocks / kGroupBlocks; ++group) {
    const Input x = load_input<Format>(token, first + group * kGroupColumns, kGroupBlocks);
    for (size_t r = 0; r < kRows; ++r) sums[r] = add_group<Format>(rows[r], group, x, sums[r]);
  }
  if (const size_t rest = blocks % kGroupBlocks; rest > 0) {
    const Input x = load_input<Format>(token, first + group * kGroupColumns, rest);
    for (size_t r = 0; r < kRows; ++r) sums[r] = add_group<Format>(rows[r], group, x, sums[r]);
  }
  __m128 total = sums_of_lanes(sums[0], sums[kRows / 4], sums[kRows / 2], sums[kRows - 1]);
  const __mmask8 lanes = kRows == 4 ? 0xF : 0x1;
  if (first > 0) total = _mm_add_ps(_mm_maskz_loadu_ps(lanes, y), total);
  _mm_mask_storeu_ps(y, lanes, total);
}

// Unpacking's arithmetic fills the processor's window before it reaches far into the next rows'
// bytes: those that come some 4 KiB later are called in now. Past the end of the weights this does
// nothing.
HWY_INLINE void prefetch(const std::byte* from, size_t distance, size_t size) {
  const uintptr_t start = reinterpret_cast<uintptr_t>(from) + distance;
  for (uintptr_t at = start; at < start + size; at += 64)
    _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0);
}

template <class Format, size_t kRows>
void multiply_rows(const MatmulTask& task, size_t row) {
  const WeightRows& weight = task.weight;
  const size_t row_size = weight.columns / Format::kColumns * Format::kBytes;
  const size_t distance = round_up(kPrefetchBytes, kRows * row_size);
  UnpackedRow rows[kRows];
  for (size_t first = 0; first < weight.columns; first += kTileColumns) {
    const size_t columns = std::min(kTileColumns, weight.columns - first);
    const size_t tile_size = columns / Format::kColumns * Format::kBytes;
    const std::byte* tile =
        weight.data + row * row_size + first / Format::kColumns * Format::kBytes;
    for (size_t r = 0; r < kRows; ++r, tile += row_size) {
      prefetch(tile, distance, tile_size);
      Format::unpack(tile, columns / kScaleColumns, rows[r]);
    }
    for (size_t t = 0; t < task.input.tokens; ++t) {
      add_tile<Format, kRows>(rows, prepared_token(task.input.quantised, t, weight.columns), first,
                              columns, task.y + t * task.y_stride + row);
    }
  }
}

template <class Format>
void matmul(const MatmulTask& task, size_t row, size_t end_row) {
  for (; row + 4 <= end_row; row += 4) multiply_rows<Format, 4>(task, row);
  for (; row < end_row; ++row) multiply_rows<Format, 1>(task, row);
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
