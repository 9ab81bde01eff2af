// What the kernels for interleaved rows (ops/interleaved.h) make of a format: vectors of four
// columns of sixteen rows, and the rows' scales.
#pragma once

#include "ops/cpu/avx512/formats_k.h"
#include "ops/cpu/avx512/formats_legacy.h"
#include "ops/interleaved.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

// Of a format that has an interleaved form:
//   template <size_t kBlock> static Scales scales(const std::byte* at): of 16 rows
//   template <size_t kBlock, size_t kQuad> static __m512i quad(const std::byte* at): byte 4 × row +
//     column of columns 4 × kQuad … + 3, still with the format's centre
// of 32 columns, number kBlock of the format's block at `at`.
template <class Format>
struct Interleaved {};

template <class Format>
concept HasInterleaved = requires {
  Interleaved<Format>::kGroupBytes;
};

HWY_INLINE __m512 sixteen_halves(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(from)));
}

HWY_INLINE __m512i low_nibbles(__m512i bytes) {
  return _mm512_and_si512(bytes, _mm512_set1_epi8(15));
}

// Byte kIndex of every lane.
template <unsigned kIndex>
HWY_INLINE __m512i byte_of_lanes(__m512i lanes) {
  if constexpr (kIndex == 3) {
    return _mm512_srli_epi32(lanes, 24);
  } else {
    return _mm512_and_si512(_mm512_srli_epi32(lanes, 8 * kIndex), _mm512_set1_epi32(255));
  }
}

template <int kBits, bool kHasMinimum>
struct Interleaved<Legacy<kBits, kHasMinimum>> : Legacy<kBits, kHasMinimum> {
  using Format = Legacy<kBits, kHasMinimum>;
  static constexpr size_t kGroupBytes = Format::kBytes * kInterleavedRows;

  template <size_t kBlock>
  static HWY_INLINE Scales scales(const std::byte* at) {
    Scales scales;
    scales.low = scales.high = sixteen_halves(at);
    scales.minima_low = scales.minima_high = _mm512_setzero_ps();
    if constexpr (kHasMinimum) scales.minima_low = sixteen_halves(at + 32);
    return scales;
  }
  template <size_t kBlock, size_t kQuad>
  static HWY_INLINE __m512i quad(const std::byte* at) {
    const std::byte* nibbles = at + Format::kNibbles * kInterleavedRows;
    const __m512i both = _mm512_loadu_si512(nibbles + 64 * (kQuad % 4));
    const __m512i four = kQuad < 4 ? low_nibbles(both) : high_nibbles(both);
    if constexpr (kBits == 4) return four;
    const auto fifth =
        load<uint64_t>(at + Format::kFifthBits * kInterleavedRows + kQuad * sizeof(uint64_t));
    return _mm512_mask_add_epi8(four, fifth, four, _mm512_set1_epi8(16));
  }
};

template <>
struct Interleaved<Q8_0> : Q8_0 {
  static constexpr size_t kGroupBytes = kBytes * kInterleavedRows;

  template <size_t kBlock>
  static HWY_INLINE Scales scales(const std::byte* at) {
    Scales scales;
    scales.low = scales.high = sixteen_halves(at);
    scales.minima_low = scales.minima_high = _mm512_setzero_ps();
    return scales;
  }
  template <size_t kBlock, size_t kQuad>
  static HWY_INLINE __m512i quad(const std::byte* at) {
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));  // signed to centred at 128
    return _mm512_xor_si512(_mm512_loadu_si512(at + 32 + 64 * kQuad), sign);
  }
};

template <bool kFive>
struct Interleaved<Q45_K<kFive>> : Q45_K<kFive> {
  static constexpr size_t kGroupBytes = Q45_K<kFive>::kBytes * kInterleavedRows;

  // The rows' twelve bytes of scales are three vectors of lanes.
  template <size_t kBlock>
  static HWY_INLINE Scales scales(const std::byte* at) {
    const __m512i first = _mm512_loadu_si512(at + 64);
    const __m512i second = _mm512_loadu_si512(at + 128);
    const __m512i last = _mm512_loadu_si512(at + 192);
    __m512i scale;
    __m512i minimum;
    if constexpr (kBlock < 4) {
      scale = _mm512_and_si512(first, _mm512_set1_epi8(0x3F));
      minimum = _mm512_and_si512(second, _mm512_set1_epi8(0x3F));
    } else {
      const __m512i upper = _mm512_set1_epi8(0x30);
      scale =
          _mm512_or_si512(low_nibbles(last), _mm512_and_si512(_mm512_srli_epi32(first, 2), upper));
      minimum = _mm512_or_si512(low_nibbles(_mm512_srli_epi32(last, 4)),
                                _mm512_and_si512(_mm512_srli_epi32(second, 2), upper));
    }
    Scales scales;
    scales.low = scales.high = times(byte_of_lanes<kBlock % 4>(scale), sixteen_halves(at));
    scales.minima_low = scales.minima_high =
        times(byte_of_lanes<kBlock % 4>(minimum),
              _mm512_sub_ps(_mm512_setzero_ps(), sixteen_halves(at + 32)));
    return scales;
  }
  template <size_t kBlock, size_t kQuad>
  static HWY_INLINE __m512i quad(const std::byte* at) {
    const std::byte* fifth_bits = at + 256;
    const std::byte* nibbles = fifth_bits + (kFive ? 512 : 0) + 512 * (kBlock / 2);
    const __m512i both = _mm512_loadu_si512(nibbles + 64 * kQuad);
    const __m512i four = kBlock % 2 == 0 ? low_nibbles(both) : high_nibbles(both);
    if constexpr (!kFive) return four;
    const __m512i fifth = _mm512_loadu_si512(fifth_bits + 64 * kQuad);
    return _mm512_or_si512(four, move_bits(fifth, _mm512_set1_epi64(bit_matrix(kBlock, 4, 1))));
  }
};

template <>
struct Interleaved<Q6_K> : Q6_K {
  static constexpr size_t kGroupBytes = kBytes * kInterleavedRows;

  template <size_t kBlock>
  static HWY_INLINE Scales scales(const std::byte* at) {
    const __m512i four = _mm512_loadu_si512(at + 32 + 64 * (kBlock / 2));
    constexpr int kFirst = kBlock % 2 * 2;
    const __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(four, 24 - 8 * kFirst), 24);
    const __m512i high = _mm512_srai_epi32(_mm512_slli_epi32(four, 16 - 8 * kFirst), 24);
    Scales scales;
    scales.low = times(low, sixteen_halves(at));
    scales.high = times(high, sixteen_halves(at));
    scales.minima_low = scales.minima_high = _mm512_setzero_ps();
    return scales;
  }
  // A half of 128 columns: 64 bytes of nibbles, those of blocks 2 and 3 the upper ones; 32 bytes
  // with two bits of each block.
  template <size_t kBlock, size_t kQuad>
  static HWY_INLINE __m512i quad(const std::byte* at) {
    constexpr size_t kHalf = kBlock / 4;
    constexpr size_t kIn = kBlock % 4;
    const std::byte* values = at + 288;
    const __m512i both = _mm512_loadu_si512(values + 1024 * kHalf + 512 * (kIn % 2) + 64 * kQuad);
    const __m512i upper = _mm512_loadu_si512(values + 2048 + 512 * kHalf + 64 * kQuad);
    const __m512i four = kIn < 2 ? low_nibbles(both) : high_nibbles(both);
    return _mm512_or_si512(four, move_bits(upper, _mm512_set1_epi64(bit_matrix(2 * kIn, 4, 2))));
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
