// The left side of a quantised matmul, for weights of every quantised dtype: 8-bit integers with
// one scale per 32 columns, the sums that a weight block's minimum is multiplied with, and those
// that its centre is. Lies in
// memory of the caller. Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/units.h"

namespace spillway::ops::cpu {

inline constexpr size_t kScaleColumns = 32;  // columns that share a scale
inline constexpr size_t kSubColumns = 16;    // columns of the shorter sums, which Q2_K needs

// One token: value[c] × scales[c / 32] is about x[c]; sums are those of value × scale,
// totals of the values.
template <typename Byte>
struct PreparedToken {
  template <typename T>
  using Like = std::conditional_t<std::is_const_v<Byte>, const T, T>;

  Like<int8_t>* values;     // [columns]
  Like<float>* scales;      // [columns / 32]
  Like<float>* sums32;      // [columns / 32]
  Like<float>* sums16;      // [columns / 16]
  Like<int16_t>* totals16;  // [columns / 16]
};

// columns is a multiple of 32.
constexpr size_t prepared_token_bytes(size_t columns) {
  const size_t floats = 2 * columns / kScaleColumns + columns / kSubColumns;
  return round_up(columns + floats * sizeof(float) + columns / kSubColumns * sizeof(int16_t), 64);
}

template <typename Byte>
PreparedToken<Byte> prepared_token(Byte* prepared, size_t token, size_t columns) {
  using Token = PreparedToken<Byte>;
  using Float = typename Token::template Like<float>;
  Byte* start = prepared + token * prepared_token_bytes(columns);
  auto* scales = reinterpret_cast<Float*>(start + columns);
  const size_t blocks = columns / kScaleColumns;
  return {reinterpret_cast<typename Token::template Like<int8_t>*>(start), scales, scales + blocks,
          scales + 2 * blocks,
          reinterpret_cast<typename Token::template Like<int16_t>*>(scales + 4 * blocks)};
}

}  // namespace spillway::ops::cpu
