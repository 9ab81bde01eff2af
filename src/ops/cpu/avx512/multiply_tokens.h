// The product with several tokens: sixteen rows at a time are unpacked into a panel, which then
// meets up to sixteen tokens at once. How the integer dot products of a block come about is the
// business of a Dots class (dots_vnni.h, dots_amx.h), which has
//   kCentred: whether the panel's values are to be less the format's centre
//   begin<Format>(x, blocks): some tokens are there
//   pass<Format>(panel, pass, blocks, x, tile): adds up blocks pass, pass + 4 … for `tile`
#pragma once

#include "ops/cpu/avx512/multiply_interleaved.h"
#include "ops/cpu/avx512/panel.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

// Integer products of one token with a block of 16 rows, [row]. `high`: of the block's second half,
// where the format has a scale for it.
struct BlockDots {
  __m512i low;
  __m512i high;
};

// Likewise, `low` times the rows' scales already.
struct ScaledDots {
  __m512 low;
  __m512i high;
};

// Some of the batch's tokens, in the columns of one tile. What is read as one number for all rows
// lies together here, so that it is found without an address for each token.
template <size_t kTokens>
struct alignas(64) TokenTile {
  float scales[kTokens][kTileBlocks];
  float minima_sums[kTokens][2 * kTileBlocks];  // per block, or per half of it, for its minimum
  size_t first;                                 // of the batch's tokens
  const int8_t* values;     // of the first token, `stride` bytes before those of the next
  const int16_t* totals16;  // likewise
  size_t stride;

  // Tokens from `first_token` on, `blocks` of 32 columns from first_column on.
  template <class Format>
  HWY_INLINE void load(const MatmulInput& input, size_t first_token, size_t first_column,
                       size_t blocks) {
    first = first_token;
    stride = prepared_token_bytes(input.columns);
    for (size_t t = 0; t < kTokens; ++t) {
      const Token token = prepared_token(input.quantised, first + t, input.columns);
      if (t == 0) {
        values = token.values + first_column;
        totals16 = token.totals16 + first_column / kSubColumns;
      }
      copy(token.scales + first_column / kScaleColumns, blocks, scales[t]);
      if constexpr (Format::kMinima == Per::k32)
        copy(token.sums32 + first_column / kScaleColumns, blocks, minima_sums[t]);
      if constexpr (Format::kMinima == Per::k16)
        copy(token.sums16 + first_column / kSubColumns, 2 * blocks, minima_sums[t]);
    }
  }

  // Adds what the rows' block b gives with token t to its sums, [row].
  template <class Format>
  HWY_INLINE void add(const Panel& panel, size_t b, size_t t, const BlockDots& dots,
                      __m512& sums) const {
    const __m512 low =
        _mm512_mul_ps(_mm512_cvtepi32_ps(dots.low), _mm512_load_ps(panel.scales[b][0]));
    add_scaled<Format>(panel, b, t, {low, dots.high}, sums);
  }
  template <class Format>
  HWY_INLINE void add_scaled(const Panel& panel, size_t b, size_t t, const ScaledDots& dots,
                             __m512& sums) const {
    __m512 products = dots.low;
    const float* input = minima_sums[t];
    if constexpr (Format::kMinima == Per::k32) sums = add_minimum(panel, b, 0, input[b], sums);
    if constexpr (Format::kMinima == Per::k16) {
      sums = add_minimum(panel, b, 0, input[2 * b], sums);
      sums = add_minimum(panel, b, 1, input[2 * b + 1], sums);
    }
    if constexpr (Format::kScales == Per::k16) {
      products = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots.high), _mm512_load_ps(panel.scales[b][1]),
                                 products);
    }
    sums = _mm512_fmadd_ps(products, _mm512_set1_ps(scales[t][b]), sums);
  }

 private:
  static HWY_INLINE __m512 add_minimum(const Panel& panel, size_t b, size_t half, float input,
                                       __m512 sums) {
    return _mm512_fmadd_ps(_mm512_load_ps(panel.minima[b][half]), _mm512_set1_ps(input), sums);
  }
  static HWY_INLINE void copy(const float* from, size_t count, float* to) {
    for (size_t i = 0; i < count; i += 16)
      _mm512_store_ps(to + i, _mm512_maskz_loadu_ps(first_lanes(count - i), from + i));
  }
};

// y of one tile: (sum 0 + sum 1) + (sum 2 + sum 3) of each token, as the passes over every fourth
// block come one after the other.
template <size_t kTokens>
struct TileSums {
  __m512 first[kTokens];
  __m512 second[kTokens];

  HWY_INLINE void take(size_t pass, size_t t, __m512 sums) {
    __m512* to = pass < 2 ? first : second;
    to[t] = pass % 2 == 0 ? sums : _mm512_add_ps(to[t], sums);
  }
};

template <class Format, class Dots, size_t kTokens>
HWY_NOINLINE void multiply_tile(const Panel& panel, const Part& part, Dots& dots,
                                const TokenTile<kTokens>& x, const MatmulTask& task) {
  float* y = task.y + x.first * task.y_stride + part.row;
  TileSums<kTokens> tile;
  for (size_t pass = 0; pass < kGroupBlocks; ++pass)
    dots.template pass<Format, kTokens>(panel, pass, part.columns / kScaleColumns, x, tile);
  const __mmask16 lanes = first_lanes(part.end - part.row);
  for (size_t t = 0; t < kTokens; ++t, y += task.y_stride) {
    __m512 sums = _mm512_add_ps(tile.first[t], tile.second[t]);
    if (part.first_column > 0) sums = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, y), sums);
    _mm512_mask_storeu_ps(y, lanes, sums);
  }
}

template <class Format, bool kCentred>
HWY_INLINE void unpack(const Part& part, Panel& panel) {
  if constexpr (HasInterleaved<Format>)
    if (part.weight.interleaved) return unpack_interleaved<Format, kCentred>(part, panel);
  unpack_panel<Format, kCentred>(part, panel);
}

// Panels that meet a tile of tokens one after the other: making the tile ready costs a fifth of its
// products with one of them.
inline constexpr size_t kPanels = 4;

// Rows of up to kPanels panels, and the columns of one tile, with all tokens.
template <class Format, class Dots>
void multiply_part(const MatmulTask& task, const Part& part, Panel (&panels)[kPanels], Dots& dots) {
  const size_t count = (part.end - part.row + kPanelRows - 1) / kPanelRows;
  const auto panel_part = [&](size_t i) {
    const size_t row = part.row + i * kPanelRows;
    return Part{part.weight, row, std::min(part.end, row + kPanelRows), part.first_column,
                part.columns};
  };
  for (size_t i = 0; i < count; ++i) unpack<Format, Dots::kCentred>(panel_part(i), panels[i]);
  const auto some = [&]<size_t kTokens>(size_t token) {
    const size_t blocks = part.columns / kScaleColumns;
    TokenTile<kTokens> x;
    x.template load<Format>(task.input, token, part.first_column, blocks);
    dots.template begin<Format, kTokens>(x, blocks);
    for (size_t i = 0; i < count; ++i)
      multiply_tile<Format>(panels[i], panel_part(i), dots, x, task);
    return token + kTokens;
  };
  const size_t tokens = task.input.tokens;
  size_t token = 0;
  while (token + 16 <= tokens) token = some.template operator()<16>(token);
  while (token + 4 <= tokens) token = some.template operator()<4>(token);
  while (token < tokens) token = some.template operator()<1>(token);
}

template <class Format, class Dots>
void multiply_tokens(const MatmulTask& task, size_t row, size_t end_row) {
  Panel panels[kPanels];
  Dots dots;
  const size_t all = task.weight.columns;
  for (; row < end_row; row += kPanels * kPanelRows) {
    const size_t end = std::min(end_row, row + kPanels * kPanelRows);
    for (size_t first = 0; first < all; first += kTileColumns) {
      const size_t columns = std::min(kTileColumns, all - first);
      multiply_part<Format>(task, {task.weight, row, end, first, columns}, panels, dots);
    }
  }
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
