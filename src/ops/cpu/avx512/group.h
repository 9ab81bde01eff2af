// Weights are read in groups: four blocks of 32 columns. What a format makes of a group; the order
// in which products are added up is that of order.h.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/units.h"
#include "hwy/base.h"
#include "ops/cpu/avx512/target.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/order.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {

namespace {

using Token = PreparedToken<const std::byte>;

// Four rows of weights that are read together, as far as they have come.
struct Rows {
  const std::byte* at[4];

  HWY_INLINE Rows plus(size_t bytes) const {
    return {{at[0] + bytes, at[1] + bytes, at[2] + bytes, at[3] + bytes}};
  }
};

// The bytes of one row's group: the first 16 columns of its four blocks, and the second. A weight
// is (byte − the format's centre) × its scale + its minimum.
struct Bytes {
  __m512i low;
  __m512i high;
};

// Of a group of four rows: lane 4 × block + row. `high` is that of a block's second 16 columns;
// unused where there is only one per 32.
struct Scales {
  __m512 low;
  __m512 high;
  __m512 minima_low;
  __m512 minima_high;
};

// A format is a struct with kColumns and kBytes of its blocks, kCentre, kScales, kMinima, and
//   static Bytes bytes(const std::byte* at, size_t half, size_t blocks)
//   static Scales scales(const Rows& rows, size_t half, size_t blocks)
// for the group `half` (0, or 1 of formats with 256 columns) of the blocks at hand. `blocks` of 32
// columns are there, at most four; what lies behind them counts as zero.
template <class Format>
inline constexpr size_t kStepColumns = Format::kColumns == 256 ? 256 : kGroupColumns;
template <class Format>
inline constexpr size_t kStepBytes = kStepColumns<Format> / Format::kColumns* Format::kBytes;

// How far ahead of its use memory is called in, in bytes; 0: not.
struct Ahead {
  size_t far = 0;   // into the second-level cache
  size_t near = 0;  // into the first
};

// Where lines are called in from; null: nowhere.
struct Calls {
  const std::byte* far = nullptr;
  const std::byte* near = nullptr;
};

// Hidden from GCC, which otherwise keeps the distance of every line on the stack.
HWY_INLINE Calls calls_from(const std::byte* at, Ahead ahead) {
  Calls calls{ahead.far > 0 ? at + ahead.far : nullptr, ahead.near > 0 ? at + ahead.near : nullptr};
  __asm__("" : "+r"(calls.far), "+r"(calls.near));
  return calls;
}

template <size_t kFrom, size_t kEnd, auto kHint>  // of _MM_HINT_…
HWY_INLINE void prefetch_lines(const std::byte* from) {
  const auto* at = reinterpret_cast<const char*>(from);
  HWY_UNROLL(64)
  for (size_t i = round_up(kFrom, 64); i < kEnd; i += 64) _mm_prefetch(at + i, kHint);
}

// Unpacking's arithmetic fills the processor's window before it reaches far into the next rows'
// bytes: those that come later are called in now, in the order in which they lie. Calls into the
// second-level cache are dropped while too many are under way (Intel: about a third of them, where
// nothing is computed between them), so that what comes soon is called again, into the first. Past
// the end of the weights this does nothing. Of the lines there those that begin from byte kFrom on,
// before kEnd: a few at a time, since a burst of more than the processor keeps under way (Intel:
// 16) holds up all loads behind it.
template <size_t kFrom, size_t kEnd>
HWY_INLINE void prefetch(const Calls& calls) {
  if (calls.far != nullptr) prefetch_lines<kFrom, kEnd, _MM_HINT_T1>(calls.far);
  if (calls.near != nullptr) prefetch_lines<kFrom, kEnd, _MM_HINT_T0>(calls.near);
}

// The first `count` of 16 lanes.
HWY_INLINE __mmask16 first_lanes(size_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1U);
}

// Lane i has float i / 4 of `four`.
HWY_INLINE __m512 four_times_four(__m128 four) {
  const __m512i index = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutevar_ps(_mm512_broadcast_f32x4(four), index);
}

// Moves the bits of every byte, each 64 bits by the matrix of their own: one instruction where a
// shift and a mask take two.
HWY_INLINE __m512i move_bits(__m512i bytes, __m512i matrices) {
  return _mm512_gf2p8affine_epi64_epi8(bytes, matrices, 0);
}

// For move_bits: `count` bits from bit `from` on come to bit `to`, the others become zero. (Row i,
// which makes bit i, is byte 7 - i.)
constexpr long long bit_matrix(int from, int to, int count) {
  uint64_t matrix = 0;
  for (int i = 0; i < count; ++i) matrix |= uint64_t{1} << (8 * (7 - to - i) + from + i);
  return static_cast<long long>(matrix);
}
inline constexpr long long kLowNibble = bit_matrix(0, 0, 4);
inline constexpr long long kHighNibble = bit_matrix(4, 0, 4);

HWY_INLINE __m512i high_nibbles(__m512i bytes) {
  return move_bits(bytes, _mm512_set1_epi64(kHighNibble));
}

// (a[0] + a[1]) + (a[2] + a[3]) of a's four quarters.
HWY_INLINE __m128 sum_of_quarters(__m512 a) {
  const __m128 first = _mm_add_ps(_mm512_castps512_ps128(a), _mm512_extractf32x4_ps(a, 1));
  const __m128 second = _mm_add_ps(_mm512_extractf32x4_ps(a, 2), _mm512_extractf32x4_ps(a, 3));
  return _mm_add_ps(first, second);
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
