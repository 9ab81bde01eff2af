// Dot products of a panel with tokens by VNNI, whose left bytes are unsigned: the weights as they
// are stored, with their format's centre, which a start of −centre × Σ input takes back.
#pragma once

#include "ops/cpu/avx512/multiply_tokens.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

// Sums of products begin at the bits of this float, whose last place is one: as long as a sum is
// below 2^22, and those of 32 products are, it counts them up, and read as a float is kOnes + sum.
// Times a scale, less kOnes times the scale, in one fused operation, that is what converting the
// sum and multiplying it give, to the bit: kOnes × scale is exact, as a scale has at most 19 bits.
inline constexpr float kOnes = 12582912.0F;  // 1.5 × 2^23
inline constexpr int32_t kOnesBits = 0x4B400000;

class alignas(64) DotsVnni {
 public:
  static constexpr bool kCentred = false;

  template <class Format, size_t kTokens>
  HWY_INLINE void begin(const TokenTile<kTokens>& x, size_t blocks) {
    for (size_t t = 0; t < kTokens; ++t) {
      const int8_t* from = x.values + t * x.stride;
      for (size_t c = 0; c < blocks * kScaleColumns; c += 64) {
        const __mmask64 lanes = blocks * kScaleColumns - c >= 64 ? ~0ULL : 0xFFFFFFFFU;
        _mm512_store_si512(x_[t] + c, _mm512_maskz_loadu_epi8(lanes, from + c));
      }
      if constexpr (Format::kCentre != 0) {
        const auto* totals = reinterpret_cast<const std::byte*>(x.totals16) + t * x.stride;
        take_centre<Format>(totals, blocks, starts_[t]);
      }
    }
  }

  template <class Format, size_t kTokens>
  HWY_INLINE void pass(const Panel& panel, size_t pass, size_t blocks, const TokenTile<kTokens>& x,
                       TileSums<kTokens>& tile) {
    __m512 sums[kTokens];
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) sums[t] = _mm512_setzero_ps();
    for (size_t b = pass; b < blocks; b += kGroupBlocks) {
      __m512i w[8];
      HWY_UNROLL(8)
      for (size_t quad = 0; quad < 8; ++quad) w[quad] = _mm512_load_si512(panel.values[b][quad]);
      const __m512 scale = _mm512_load_ps(panel.scales[b][0]);
      const __m512 less_ones = _mm512_mul_ps(scale, _mm512_set1_ps(-kOnes));
      constexpr size_t kTogether = std::min<size_t>(kTokens, 4);
      HWY_UNROLL(4)
      for (size_t t = 0; t < kTokens; t += kTogether) {
        BlockDots dots[kTogether];
        multiply_block<Format>(w, b, t, dots);
        HWY_UNROLL(4)
        for (size_t i = 0; i < kTogether; ++i) {
          const __m512 low = _mm512_fmadd_ps(_mm512_castsi512_ps(dots[i].low), scale, less_ones);
          x.template add_scaled<Format>(panel, b, t + i, {low, dots[i].high}, sums[t + i]);
        }
      }
    }
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) tile.take(pass, t, sums[t]);
  }

 private:
  static constexpr size_t kStarts = 2 * kTileBlocks;

  // Block b of tokens from t on; `low` counts from kOnesBits. Each product waits for the one before
  // it with the same sum: tokens and halves of the block take turns, so that eight are under way.
  template <class Format, size_t kTokens>
  HWY_INLINE void multiply_block(const __m512i (&w)[8], size_t b, size_t t,
                                 BlockDots (&dots)[kTokens]) const {
    constexpr bool kHalves = Format::kScales == Per::k16;
    HWY_UNROLL(4)
    for (size_t i = 0; i < kTokens; ++i) {
      dots[i].low = start<Format>(t + i, b, 0);
      dots[i].high = kHalves ? start<Format>(t + i, b, 1) : _mm512_setzero_si512();
    }
    HWY_UNROLL(4)
    for (size_t quad = 0; quad < 4; ++quad) {
      HWY_UNROLL(4)
      for (size_t i = 0; i < kTokens; ++i) {
        const int8_t* four = x_[t + i] + b * kScaleColumns + 4 * quad;
        dots[i].low = _mm512_dpbusd_epi32(dots[i].low, w[quad], four_values(four));
        dots[i].high = _mm512_dpbusd_epi32(dots[i].high, w[quad + 4], four_values(four + 16));
      }
    }
    HWY_UNROLL(4)
    for (size_t i = 0; i < kTokens; ++i)
      if constexpr (!kHalves) dots[i].low = _mm512_add_epi32(dots[i].low, dots[i].high);
  }

  // −centre × Σ input, of each block from kOnesBits on, or of each half of one, the first from
  // kOnesBits on; totals: int16 [2 × blocks].
  template <class Format>
  static HWY_INLINE void take_centre(const std::byte* totals, size_t blocks, int32_t* starts) {
    constexpr auto kFactor = static_cast<short>(-Format::kCentre);
    for (size_t half = 0; half < 2 * blocks; half += 32, totals += 64) {
      const size_t left = 2 * blocks - half;
      const __mmask32 lanes = left >= 32 ? ~0U : (1U << left) - 1U;
      const __m512i some = _mm512_maskz_loadu_epi16(lanes, totals);
      if constexpr (Format::kScales == Per::k16) {
        const __m512i factor = _mm512_set1_epi32(kFactor);
        const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(some));
        const __m512i high = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(some, 1));
        const __m512i ones = _mm512_set1_epi64(kOnesBits);  // of every second one
        _mm512_store_si512(starts + half, _mm512_add_epi32(_mm512_mullo_epi32(low, factor), ones));
        _mm512_store_si512(starts + half + 16,
                           _mm512_add_epi32(_mm512_mullo_epi32(high, factor), ones));
      } else {
        const __m512i products = _mm512_madd_epi16(some, _mm512_set1_epi16(kFactor));
        _mm512_store_si512(starts + half / 2,
                           _mm512_add_epi32(products, _mm512_set1_epi32(kOnesBits)));
      }
    }
  }
  template <class Format>
  HWY_INLINE __m512i start(size_t t, size_t b, size_t half) const {
    if constexpr (Format::kCentre == 0) return _mm512_set1_epi32(half == 0 ? kOnesBits : 0);
    return _mm512_set1_epi32(starts_[t][Format::kScales == Per::k16 ? 2 * b + half : b]);
  }

  int8_t x_[16][kTileColumns];
  alignas(64) int32_t starts_[16][kStarts];
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
