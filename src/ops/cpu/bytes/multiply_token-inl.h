// The product with one token: four rows at a time, whose groups of four blocks are a vector of sums
// each.
#pragma once

#include <algorithm>

#include "ops/cpu/bytes/formats-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

using Token = PreparedToken<const std::byte>;

inline constexpr size_t kAheadBytes = 2048;  // of the end of the rows at hand

// What of a format's bytes an instruction set does not take off when it loads them.
template <class Isa, class Format>
inline constexpr int kCentreLeft = Isa::is_signed(Format::kCentre) ? 0 : Format::kCentre;

template <class Isa, class Format, size_t kHalf, size_t kBlock>
HWY_INLINE Bytes weights_of(const std::byte* at) {
  const Bytes bytes = Format::template bytes<kHalf, kBlock>(at);
  if constexpr (Isa::is_signed(Format::kCentre)) return bytes - all_bytes(Format::kCentre);
  return bytes;
}

// Four blocks of the token: from column on.
struct Group {
  const int8_t* values;
  Floats4 scales;
  Ints starts;  // what the weights' centre contributes, negated: first halves, then second
  const float* sums32;
  Floats4 sums_low;  // of first halves, and second
  Floats4 sums_high;

  template <int kCentre, Per kMinima>
  static HWY_INLINE Group of(const Token& token, size_t column) {
    Group g = {};
    g.values = token.values + column;
    g.scales = load_vector<Floats4>(token.scales + column / kScaleColumns);
    if constexpr (kCentre != 0) {
      const Ints totals = ints_at<Shorts8>(token.totals16 + column / kSubColumns);
      g.starts = even_then_odd(totals) * -kCentre;
    }
    g.sums32 = token.sums32 + column / kScaleColumns;
    if constexpr (kMinima == Per::k16) {
      const auto sums = load_vector<Floats>(token.sums16 + column / kSubColumns);
      g.sums_low = lower(even_then_odd(sums));
      g.sums_high = upper(even_then_odd(sums));
    }
    return g;
  }
};

// What a row's group gives with the token's, added to its four sums.
template <class Isa, class Format, size_t kHalf>
HWY_INLINE Floats4 add_group(const std::byte* at, const Group& x, Floats4 sums) {
  const Scales scales = Format::template scales<Isa, kHalf>(at);
  if constexpr (Format::kMinima == Per::k32)
    sums = Isa::fma(scales.minima_low, load_vector<Floats4>(x.sums32), sums);
  if constexpr (Format::kMinima == Per::k16) {
    sums = Isa::fma(scales.minima_low, x.sums_low, sums);
    sums = Isa::fma(scales.minima_high, x.sums_high, sums);
  }
  const auto input = [&](size_t block) {
    return load_vector<Bytes>(x.values + block * kScaleColumns);
  };
  const Ints dots[4] = {
      Isa::template block_dots<Format>(weights_of<Isa, Format, kHalf, 0>(at), input(0)),
      Isa::template block_dots<Format>(weights_of<Isa, Format, kHalf, 1>(at), input(1)),
      Isa::template block_dots<Format>(weights_of<Isa, Format, kHalf, 2>(at), input(2)),
      Isa::template block_dots<Format>(weights_of<Isa, Format, kHalf, 3>(at), input(3))};
  Ints halves = Isa::sums_of_lanes(dots);
  if constexpr (kCentreLeft<Isa, Format> != 0) halves += x.starts;
  Floats4 products;
  if constexpr (Format::kScales == Per::k32) {
    products = to_floats(lower(halves) + upper(halves)) * scales.low;
  } else {
    products =
        Isa::fma(to_floats(upper(halves)), scales.high, to_floats(lower(halves)) * scales.low);
  }
  return Isa::fma(products, x.scales, sums);
}

// Some rows, as far as they have come.
template <size_t kRows>
struct Rows {
  const std::byte* at[kRows];
  Floats4 sums[kRows];

  template <class Isa, class Format, size_t kHalf>
  HWY_INLINE void add(const Token& token, size_t column) {
    const Group x = Group::of<kCentreLeft<Isa, Format>, Format::kMinima>(token, column);
    HWY_UNROLL(4)
    for (size_t r = 0; r < kRows; ++r) sums[r] = add_group<Isa, Format, kHalf>(at[r], x, sums[r]);
  }
};

// Fewer than four blocks, the last of a row: with zeros behind them.
template <class Isa, class Format, size_t kRows>
HWY_NOINLINE void add_last(Rows<kRows>& rows, const Token& token, size_t column, size_t blocks) {
  int8_t values[kGroupColumns] = {};
  float scales[kGroupBlocks] = {};
  float sums32[kGroupBlocks] = {};
  int16_t totals16[2 * kGroupBlocks] = {};
  std::copy_n(token.values + column, blocks * kScaleColumns, values);
  std::copy_n(token.scales + column / kScaleColumns, blocks, scales);
  std::copy_n(token.sums32 + column / kScaleColumns, blocks, sums32);
  std::copy_n(token.totals16 + column / kSubColumns, 2 * blocks, totals16);
  std::byte weights[kRows][kGroupBlocks * Format::kBytes] = {};
  for (size_t r = 0; r < kRows; ++r) {
    std::copy_n(rows.at[r], blocks * Format::kBytes, weights[r]);
    rows.at[r] = weights[r];
  }
  rows.template add<Isa, Format, 0>({values, scales, sums32, nullptr, totals16}, 0);
}

template <class Isa, class Format, size_t kRows>
void multiply_rows(const MatmulTask& task, size_t row) {
  const WeightRows& weight = task.weight;
  const size_t row_size = weight.columns / Format::kColumns * Format::kBytes;
  const Token token = prepared_token(task.input.quantised, 0, weight.columns);
  Rows<kRows> rows;
  for (size_t r = 0; r < kRows; ++r) rows.at[r] = weight.data + (row + r) * row_size;
  constexpr size_t kAtOnce = kRows * kStepBytes<Format>;
  const std::byte* ahead = rows.at[0] + kRows * row_size + kAheadBytes;
  for (size_t first = 0; first < weight.columns; first += kTileColumns) {
    const size_t end = std::min(weight.columns, first + kTileColumns);
    for (Floats4& sums : rows.sums) sums = Floats4{};
    size_t column = first;
    for (; column + kStepColumns<Format> <= end; column += kStepColumns<Format>) {
      for (size_t i = 0; i < kAtOnce; i += 64) __builtin_prefetch(ahead + i);
      ahead += kAtOnce;
      rows.template add<Isa, Format, 0>(token, column);
      if constexpr (Format::kColumns == 256)
        rows.template add<Isa, Format, 1>(token, column + kGroupColumns);
      for (const std::byte*& at : rows.at) at += kStepBytes<Format>;
    }
    if constexpr (Format::kColumns != 256) {  // whose rows are whole groups
      if (column < end) add_last<Isa, Format>(rows, token, column, (end - column) / kScaleColumns);
    }
    for (size_t r = 0; r < kRows; ++r) {
      const Floats4 s = rows.sums[r];
      const float tile = (s[0] + s[1]) + (s[2] + s[3]);
      float& y = task.y[row + r];
      y = first == 0 ? tile : y + tile;
    }
  }
}

template <class Isa, class Format>
void multiply_token(const MatmulTask& task, size_t row, size_t end_row) {
  for (; row + 4 <= end_row; row += 4) multiply_rows<Isa, Format, 4>(task, row);
  for (; row < end_row; ++row) multiply_rows<Isa, Format, 1>(task, row);
}

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
