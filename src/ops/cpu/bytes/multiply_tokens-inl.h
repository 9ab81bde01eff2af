// The product with several tokens: panels of eight rows, two at a time, meet up to four tokens at
// once. The sums of one block come from every fourth block (order.h): four passes, whose sums stay
// in registers.
#pragma once

#include "ops/cpu/bytes/panel-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

inline constexpr size_t kPanels = 2;  // that share what is made ready of the tokens

// Some of the batch's tokens, in the columns of one tile. What is read as one number for all rows
// lies together here, so that it is found without an address for each token.
template <size_t kTokens>
struct alignas(64) TokenTile {
  float scales[kTokens][kTileBlocks];
  float minima_sums[kTokens][2 * kTileBlocks];  // per block, or per half of it, for its minimum
  int32_t starts[kTokens][2 * kTileBlocks];     // what the centre contributes to a half, negated
  const int8_t* values;  // of the first token, `stride` bytes before those of the next
  size_t stride;

  template <int kCentre, Per kMinima>
  HWY_INLINE void load(const MatmulInput& input, size_t first_token, const Part& part) {
    const size_t blocks = part.blocks();
    const size_t block = part.first_column / kScaleColumns;
    stride = prepared_token_bytes(input.columns);
    for (size_t t = 0; t < kTokens; ++t) {
      const Token token = prepared_token(input.quantised, first_token + t, input.columns);
      if (t == 0) values = token.values + part.first_column;
      std::copy_n(token.scales + block, blocks, scales[t]);
      if constexpr (kMinima == Per::k32) std::copy_n(token.sums32 + block, blocks, minima_sums[t]);
      if constexpr (kMinima == Per::k16)
        std::copy_n(token.sums16 + 2 * block, 2 * blocks, minima_sums[t]);
      if constexpr (kCentre != 0) {
        int16_t totals[2 * kTileBlocks] = {};
        std::copy_n(token.totals16 + 2 * block, 2 * blocks, totals);
        for (size_t i = 0; i < 2 * kTileBlocks; i += 8)
          store_vector(ints_at<Shorts8>(totals + i) * -kCentre, starts[t] + i);
      }
    }
  }
};

template <class Isa>
HWY_INLINE Floats add_minimum(const float* minima, float input, Floats sums) {
  return Isa::fma(load_vector<Floats>(minima), all_floats(input), sums);
}

// Adds what block b gives to the tokens' sums, [row].
template <class Isa, class Format, size_t kTokens>
HWY_INLINE void add_block(const Panel& panel, const TokenTile<kTokens>& x, size_t b,
                          Floats (&sums)[kTokens]) {
  constexpr bool kHalves = Format::kScales == Per::k16;
  Ints dots[2][kTokens] = {};
  if constexpr (kCentreLeft<Isa, Format> != 0) {
    HWY_UNROLL(4)
    for (size_t t = 0; t < kTokens; ++t) {
      const int32_t* starts = x.starts[t] + 2 * b;
      dots[0][t] = all_ints(kHalves ? starts[0] : starts[0] + starts[1]);
      if constexpr (kHalves) dots[1][t] = all_ints(starts[1]);
    }
  }
  Isa::template dots<Format, kTokens>(panel.values[b], x.values + b * kScaleColumns, x.stride,
                                      dots);
  HWY_UNROLL(4)
  for (size_t t = 0; t < kTokens; ++t) {
    const float* input = x.minima_sums[t];
    if constexpr (Format::kMinima == Per::k32)
      sums[t] = add_minimum<Isa>(panel.minima[b][0], input[b], sums[t]);
    if constexpr (Format::kMinima == Per::k16) {
      sums[t] = add_minimum<Isa>(panel.minima[b][0], input[2 * b], sums[t]);
      sums[t] = add_minimum<Isa>(panel.minima[b][1], input[2 * b + 1], sums[t]);
    }
    Floats products = to_floats(dots[0][t]) * load_vector<Floats>(panel.scales[b][0]);
    if constexpr (kHalves) {
      products = Isa::fma(to_floats(dots[1][t]), load_vector<Floats>(panel.scales[b][1]), products);
    }
    sums[t] = Isa::fma(products, all_floats(x.scales[t][b]), sums[t]);
  }
}

// y[token] = `sums`, or more by them, for rows [row, end).
HWY_INLINE void store_rows(const Part& part, Floats sums, float* y) {
  float padded[kPanelRows] = {};
  const size_t rows = part.end - part.row;
  if (part.first_column > 0) std::copy_n(y, rows, padded);
  if (part.first_column > 0) sums = load_vector<Floats>(padded) + sums;
  if (rows == kPanelRows) return store_vector(sums, y);
  store_vector(sums, padded);
  std::copy_n(padded, rows, y);
}

template <class Isa, class Format, size_t kTokens>
HWY_NOINLINE void multiply_tile(const Panel& panel, const TokenTile<kTokens>& x, const Part& part,
                                float* y, size_t y_stride) {
  const size_t blocks = part.blocks();
  Floats total[2][kTokens];  // of the sums 0 and 1, and 2 and 3
  for (size_t pass = 0; pass < kGroupBlocks; ++pass) {
    Floats sums[kTokens] = {};
    for (size_t b = pass; b < blocks; b += kGroupBlocks)
      add_block<Isa, Format, kTokens>(panel, x, b, sums);
    HWY_UNROLL(4)
    for (size_t t = 0; t < kTokens; ++t) {
      Floats& to = total[pass / 2][t];
      to = pass % 2 == 0 ? sums[t] : to + sums[t];
    }
  }
  for (size_t t = 0; t < kTokens; ++t)
    store_rows(part, total[0][t] + total[1][t], y + t * y_stride + part.row);
}

// Rows [row, end), at most kPanels × 8, of all tokens.
template <class Isa, class Format>
void multiply_panels(const MatmulTask& task, size_t row, size_t end, Panel (&panels)[kPanels]) {
  const size_t tokens = task.input.tokens;
  const size_t all = task.weight.columns;
  for (size_t first = 0; first < all; first += kTileColumns) {
    const size_t columns = std::min(kTileColumns, all - first);
    const auto part = [&](size_t panel) -> Part {
      const size_t from = row + panel * kPanelRows;
      return {task.weight, from, std::min(end, from + kPanelRows), first, columns};
    };
    const size_t count = (end - row + kPanelRows - 1) / kPanelRows;
    for (size_t p = 0; p < count; ++p) unpack_panel<Isa, Format>(part(p), panels[p]);
    const auto some = [&]<size_t kTokens>(size_t token) {
      TokenTile<kTokens> x;
      x.template load<kCentreLeft<Isa, Format>, Format::kMinima>(task.input, token, part(0));
      float* y = task.y + token * task.y_stride;
      for (size_t p = 0; p < count; ++p)
        multiply_tile<Isa, Format, kTokens>(panels[p], x, part(p), y, task.y_stride);
      return token + kTokens;
    };
    size_t token = 0;
    while (token + 4 <= tokens) token = some.template operator()<4>(token);
    while (token < tokens) token = some.template operator()<1>(token);
  }
}

template <class Isa, class Format>
void multiply_tokens(const MatmulTask& task, size_t row, size_t end_row) {
  Panel panels[kPanels];
  for (; row < end_row; row += kPanels * kPanelRows)
    multiply_panels<Isa, Format>(task, row, std::min(end_row, row + kPanels * kPanelRows), panels);
}

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
