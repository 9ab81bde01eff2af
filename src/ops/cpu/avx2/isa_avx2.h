// Products of bytes by AVX2: maddubs takes unsigned bytes times signed ones, adds pairs within 16
// bits, and saturates there: only so many may be added up as the format's largest byte allows.
// Defines SPILLWAY_BYTES_TARGET, unless it is defined.
#pragma once

#include <immintrin.h>

#ifndef SPILLWAY_BYTES_TARGET
#define SPILLWAY_BYTES_TARGET "avx2,fma,f16c"
#endif

#include "ops/cpu/bytes/formats-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

struct Avx2 {
  // A byte of 255 times 127, twice, is more than 16 bits hold: Q8_0's bytes stay signed, and give
  // their signs to the input.
  static constexpr bool is_signed(int centre) { return centre == 128; }

  static HWY_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static HWY_INLINE Floats4 fma(Floats4 a, Floats4 b, Floats4 c) { return _mm_fmadd_ps(a, b, c); }

  static HWY_INLINE float half_at(const std::byte* at) {
    uint16_t half = 0;
    std::memcpy(&half, at, sizeof(half));
    return _cvtsh_ss(half);
  }

  // Sums of two products each, in 16 bits.
  template <class Format>
  static HWY_INLINE __m256i pairs(__m256i weights, __m256i input) {
    if constexpr (is_signed(Format::kCentre)) {
      return _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(input, weights));
    } else {
      return _mm256_maddubs_epi16(weights, input);
    }
  }
  static HWY_INLINE __m256i sums_of_pairs(__m256i pairs) {
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }

  template <class Format>
  static HWY_INLINE Ints block_dots(Bytes weights, Bytes input) {
    return reinterpret_cast<Ints>(sums_of_pairs(
        pairs<Format>(reinterpret_cast<__m256i>(weights), reinterpret_cast<__m256i>(input))));
  }

  static HWY_INLINE Ints sums_of_lanes(const Ints (&v)[4]) {
    const auto pair = [&](size_t i) {
      return _mm256_hadd_epi32(reinterpret_cast<__m256i>(v[i]),
                               reinterpret_cast<__m256i>(v[i + 1]));
    };
    return reinterpret_cast<Ints>(_mm256_hadd_epi32(pair(0), pair(2)));
  }

  // [column / 4][row][column % 4].
  static HWY_INLINE void store_block(const Bytes (&rows)[8], std::byte* to) {
    __m256i pairs[8];  // columns 0 and 1, and 2 and 3 (and 4 more) of two rows
    HWY_UNROLL(4)
    for (size_t r = 0; r < 8; r += 2) {
      const auto a = reinterpret_cast<__m256i>(rows[r]);
      const auto b = reinterpret_cast<__m256i>(rows[r + 1]);
      pairs[r] = _mm256_unpacklo_epi32(a, b);
      pairs[r + 1] = _mm256_unpackhi_epi32(a, b);
    }
    HWY_UNROLL(4)
    for (size_t quad = 0; quad < 4; ++quad) {
      const size_t i = quad / 2;
      const auto four = [&](size_t r) {
        return quad % 2 == 0 ? _mm256_unpacklo_epi64(pairs[r + i], pairs[r + 2 + i])
                             : _mm256_unpackhi_epi64(pairs[r + i], pairs[r + 2 + i]);
      };
      const __m256i low = four(0);
      const __m256i high = four(4);
      auto* at = reinterpret_cast<__m256i*>(to) + quad;
      _mm256_store_si256(at, _mm256_permute2x128_si256(low, high, 0x20));
      _mm256_store_si256(at + 4, _mm256_permute2x128_si256(low, high, 0x31));
    }
  }

  template <class Format, size_t kTokens>
  static HWY_INLINE void dots(const std::byte* weights, const int8_t* x, size_t stride,
                              Ints (&sums)[2][kTokens]) {
    constexpr int kMost = 32767 / (2 * 127 * Format::kLargest);  // pairs that 16 bits hold
    constexpr size_t kTogether = kMost >= 8 ? 8 : kMost >= 4 ? 4 : kMost >= 2 ? 2 : 1;
    constexpr bool kHalves = Format::kScales == Per::k16;
    constexpr size_t kRun = kHalves && kTogether > 4 ? 4 : kTogether;  // of quads of columns
    HWY_UNROLL(8)
    for (size_t first = 0; first < 8; first += kRun) {
      __m256i run[kTokens];
      HWY_UNROLL(8)
      for (size_t quad = first; quad < first + kRun; ++quad) {
        const __m256i w = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights) + quad);
        HWY_UNROLL(4)
        for (size_t t = 0; t < kTokens; ++t) {
          const __m256i p = pairs<Format>(w, four_values(x + t * stride + 4 * quad));
          run[t] = quad == first ? p : _mm256_add_epi16(run[t], p);
        }
      }
      HWY_UNROLL(4)
      for (size_t t = 0; t < kTokens; ++t)
        sums[kHalves ? first / 4 : 0][t] += reinterpret_cast<Ints>(sums_of_pairs(run[t]));
    }
  }

 protected:
  static HWY_INLINE __m256i four_values(const int8_t* x) {
    int four = 0;
    std::memcpy(&four, x, sizeof(four));
    return _mm256_set1_epi32(four);
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
