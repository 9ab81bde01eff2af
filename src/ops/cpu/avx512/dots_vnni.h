// Dot products of a panel with tokens by VNNI, whose left bytes are unsigned: the input's plus 128,
// which a start of −128 × Σ weights takes back.
#pragma once

#include "ops/cpu/avx512/multiply_tokens.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

class alignas(64) DotsVnni {
 public:
  // −128 × Σ weights of each row, per block or per half of it.
  template <class Format>
  HWY_INLINE void take_panel(const Panel& panel, size_t blocks) {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(0x80));
    for (size_t b = 0; b < blocks; ++b) {
      __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
      HWY_UNROLL(8)
      for (size_t quad = 0; quad < 8; ++quad) {
        __m512i& to = sums[Format::kScales == Per::k16 ? quad / 4 : 0];
        to = _mm512_dpbusd_epi32(to, offset, _mm512_load_si512(panel.values[b][quad]));
      }
      for (size_t half = 0; half < 2; ++half) {
        _mm512_store_si512(starts_[b][half], _mm512_sub_epi32(_mm512_setzero_si512(), sums[half]));
      }
    }
  }

  template <size_t kTokens>
  HWY_INLINE void begin(const TokenTile<kTokens>& x, size_t blocks) {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(0x80));
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) {
      const int8_t* from = x.values + t * x.stride;
      for (size_t c = 0; c < blocks * kScaleColumns; c += 64) {
        const __mmask64 lanes = blocks * kScaleColumns - c >= 64 ? ~0ULL : 0xFFFFFFFFU;
        const __m512i values = _mm512_maskz_loadu_epi8(lanes, from + c);
        _mm512_store_si512(x_[t] + c, _mm512_xor_si512(values, offset));
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
      HWY_UNROLL(16)
      for (size_t t = 0; t < kTokens; ++t) {
        const uint8_t* values = x_[t] + b * kScaleColumns;
        __m512i dots[2] = {_mm512_load_si512(starts_[b][0]), _mm512_load_si512(starts_[b][1])};
        HWY_UNROLL(8)
        for (size_t quad = 0; quad < 8; ++quad) {
          __m512i& to = dots[Format::kScales == Per::k16 ? quad / 4 : 0];
          int four = 0;
          std::memcpy(&four, values + 4 * quad, sizeof(four));
          to = _mm512_dpbusd_epi32(to, _mm512_set1_epi32(four), w[quad]);
        }
        x.template add<Format>(panel, b, t, {dots[0], dots[1]}, sums[t]);
      }
    }
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) tile.take(pass, t, sums[t]);
  }

 private:
  int32_t starts_[kTileBlocks][2][kPanelRows];
  uint8_t x_[16][kTileColumns];
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
