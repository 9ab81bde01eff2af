// Sixteen rows of weights, a tile of their columns, unpacked so that a vector holds the same
// columns of every row: what products with many tokens are computed from. Lies on the stack.
#pragma once

#include "ops/cpu/avx512/group.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {

inline constexpr size_t kPanelRows = 16;

struct alignas(64) Panel {
  // Columns 4 × quad … + 3 of every row of a block: less the format's centre, or as they are
  // stored.
  int8_t values[kTileBlocks][8][kPanelRows][4];
  float scales[kTileBlocks][2][kPanelRows];  // the second: of a block's second 16 columns
  float minima[kTileBlocks][2][kPanelRows];
};

namespace {

// Result i is made of the 128-bit pieces i of the four vectors.
HWY_INLINE void store_pieces(const __m512 (&v)[4], float* out, size_t stride) {
  const __m512 low01 = _mm512_shuffle_f32x4(v[0], v[1], 0x44);
  const __m512 high01 = _mm512_shuffle_f32x4(v[0], v[1], 0xEE);
  const __m512 low23 = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
  const __m512 high23 = _mm512_shuffle_f32x4(v[2], v[3], 0xEE);
  _mm512_store_ps(out, _mm512_shuffle_f32x4(low01, low23, 0x88));
  _mm512_store_ps(out + stride, _mm512_shuffle_f32x4(low01, low23, 0xDD));
  _mm512_store_ps(out + 2 * stride, _mm512_shuffle_f32x4(high01, high23, 0x88));
  _mm512_store_ps(out + 3 * stride, _mm512_shuffle_f32x4(high01, high23, 0xDD));
}

// Four rows' 32-bit lanes 4 × block + quad: afterwards v[quad] has lanes 4 × block + row.
HWY_INLINE void transpose_lanes(__m512i (&v)[4]) {
  const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]);
  const __m512i b = _mm512_unpackhi_epi32(v[0], v[1]);
  const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]);
  const __m512i d = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(a, c);
  v[1] = _mm512_unpackhi_epi64(a, c);
  v[2] = _mm512_unpacklo_epi64(b, d);
  v[3] = _mm512_unpackhi_epi64(b, d);
}

// What the values of a panel are less: nothing, if it is not centred.
template <class Format, bool kCentred>
HWY_INLINE __m512i less_centre(__m512i values) {
  if constexpr (!kCentred || Format::kCentre == 0) return values;
  return _mm512_sub_epi8(values, _mm512_set1_epi8(static_cast<char>(Format::kCentre)));
}

// One group of all rows.
template <class Format, bool kCentred>
HWY_INLINE void unpack_group(const Rows (&rows)[4], size_t half, size_t blocks, size_t block,
                             Panel& panel) {
  __m512i low[4][4];  // [rows / 4][row, then quad]
  __m512i high[4][4];
  Scales scales[4];
  HWY_UNROLL(4)
  for (size_t four = 0; four < 4; ++four) {
    HWY_UNROLL(4)
    for (size_t r = 0; r < 4; ++r) {
      const Bytes bytes = Format::bytes(rows[four].at[r], half, blocks);
      low[four][r] = less_centre<Format, kCentred>(bytes.low);
      high[four][r] = less_centre<Format, kCentred>(bytes.high);
    }
    transpose_lanes(low[four]);
    transpose_lanes(high[four]);
    scales[four] = Format::scales(rows[four], half, blocks);
  }
  constexpr size_t kStride = sizeof(panel.values[0]) / sizeof(float);
  const auto store = [&](const __m512i(&v)[4][4], size_t quad, int8_t* to) {
    store_pieces({_mm512_castsi512_ps(v[0][quad]), _mm512_castsi512_ps(v[1][quad]),
                  _mm512_castsi512_ps(v[2][quad]), _mm512_castsi512_ps(v[3][quad])},
                 reinterpret_cast<float*>(to), kStride);
  };
  HWY_UNROLL(4)
  for (size_t quad = 0; quad < 4; ++quad) {
    store(low, quad, panel.values[block][quad][0]);
    store(high, quad, panel.values[block][4 + quad][0]);
  }
  constexpr size_t kScaleStride = 2 * kPanelRows;
  store_pieces({scales[0].low, scales[1].low, scales[2].low, scales[3].low}, panel.scales[block][0],
               kScaleStride);
  if constexpr (Format::kScales == Per::k16)
    store_pieces({scales[0].high, scales[1].high, scales[2].high, scales[3].high},
                 panel.scales[block][1], kScaleStride);
  if constexpr (Format::kMinima != Per::kNone)
    store_pieces(
        {scales[0].minima_low, scales[1].minima_low, scales[2].minima_low, scales[3].minima_low},
        panel.minima[block][0], kScaleStride);
  if constexpr (Format::kMinima == Per::k16)
    store_pieces({scales[0].minima_high, scales[1].minima_high, scales[2].minima_high,
                  scales[3].minima_high},
                 panel.minima[block][1], kScaleStride);
}

// Rows [row, end), at most 16, and the columns of one tile.
struct Part {
  const WeightRows& weight;
  size_t row;
  size_t end;
  size_t first_column;
  size_t columns;
};

// The last row stands in for those that are missing. Blocks behind the last are filled up to a
// whole group.
template <class Format, bool kCentred>
void unpack_panel(const Part& part, Panel& panel) {
  const auto& [weight, row, end, first, columns] = part;
  const size_t row_size = weight.columns / Format::kColumns * Format::kBytes;
  Rows rows[4];
  for (size_t r = 0; r < kPanelRows; ++r) {
    rows[r / 4].at[r % 4] = weight.data + std::min(row + r, end - 1) * row_size +
                            first / Format::kColumns * Format::kBytes;
  }
  for (size_t column = 0; column < columns; column += kStepColumns<Format>) {
    const size_t blocks = std::min(kGroupBlocks, (columns - column) / kScaleColumns);
    const size_t block = column / kScaleColumns;
    for (size_t half = 0; half < kStepColumns<Format> / kGroupColumns; ++half) {
      // A constant count lets the compiler drop the tests on it.
      if (blocks == kGroupBlocks) {
        unpack_group<Format, kCentred>(rows, half, kGroupBlocks, block + half * kGroupBlocks,
                                       panel);
      } else {
        unpack_group<Format, kCentred>(rows, half, blocks, block, panel);
      }
    }
    for (Rows& four : rows) four = four.plus(kStepBytes<Format>);
  }
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
