// Products of bytes by NEON's dot products (Armv8.2-A's FEAT_DotProd): signed bytes times signed
// ones, four at once. A vector of eight lanes is two registers. Defines SPILLWAY_BYTES_TARGET,
// unless it is defined.
#pragma once

#include <arm_neon.h>

#ifndef SPILLWAY_BYTES_TARGET
#ifdef __clang__
#define SPILLWAY_BYTES_TARGET "dotprod"
#else
#define SPILLWAY_BYTES_TARGET "arch=armv8.2-a+dotprod"
#endif
#endif

#include "ops/cpu/bytes/formats-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

HWY_INLINE int8x16_t half_of(Bytes v, size_t half) {
  int8x16_t halves[2];
  std::memcpy(halves, &v, sizeof(halves));
  return halves[half];
}
HWY_INLINE Ints join(int32x4_t low, int32x4_t high) {
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
}
HWY_INLINE int32x4_t low_half(Ints v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}
HWY_INLINE int32x4_t high_half(Ints v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}

struct NeonDot {
  static constexpr bool is_signed(int /*centre*/) { return true; }

  static HWY_INLINE Floats4 fma(Floats4 a, Floats4 b, Floats4 c) { return vfmaq_f32(c, a, b); }
  static HWY_INLINE Floats fma(const Floats& a, const Floats& b, const Floats& c) {
    const auto half = [](const Floats& v, size_t i) {
      return load_vector<Floats4>(reinterpret_cast<const float*>(&v) + 4 * i);
    };
    const Floats4 low = fma(half(a, 0), half(b, 0), half(c, 0));
    const Floats4 high = fma(half(a, 1), half(b, 1), half(c, 1));
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
  }

  static HWY_INLINE float half_at(const std::byte* at) {
    __fp16 half = 0;
    std::memcpy(&half, at, sizeof(half));
    return static_cast<float>(half);
  }

  template <class Format>
  static HWY_INLINE Ints block_dots(Bytes weights, Bytes input) {
    const int32x4_t zero = vdupq_n_s32(0);
    return join(vdotq_s32(zero, half_of(weights, 0), half_of(input, 0)),
                vdotq_s32(zero, half_of(weights, 1), half_of(input, 1)));
  }

  static HWY_INLINE Ints sums_of_lanes(const Ints (&v)[4]) {
    const int32x4_t low = vpaddq_s32(vpaddq_s32(low_half(v[0]), low_half(v[1])),
                                     vpaddq_s32(low_half(v[2]), low_half(v[3])));
    const int32x4_t high = vpaddq_s32(vpaddq_s32(high_half(v[0]), high_half(v[1])),
                                      vpaddq_s32(high_half(v[2]), high_half(v[3])));
    return join(low, high);
  }

  // [column / 4][row][column % 4].
  static HWY_INLINE void store_block(const Bytes (&rows)[8], std::byte* to) {
    for (size_t r = 0; r < 8; ++r) {
      for (size_t quad = 0; quad < 8; ++quad)
        std::memcpy(to + quad * 32 + r * 4, reinterpret_cast<const std::byte*>(&rows[r]) + quad * 4,
                    4);
    }
  }

  template <class Format, size_t kTokens>
  static HWY_INLINE void dots(const std::byte* weights, const int8_t* x, size_t stride,
                              Ints (&sums)[2][kTokens]) {
    const auto* w = reinterpret_cast<const int8_t*>(weights);
    for (size_t half = 0; half < 2; ++half, w += 128, x += kSubColumns) {
      Ints(&to)[kTokens] = sums[Format::kScales == Per::k16 ? half : 0];
      HWY_UNROLL(4)
      for (size_t t = 0; t < kTokens; ++t) {
        const int8x16_t input = vld1q_s8(x + t * stride);
        int32x4_t low = low_half(to[t]);
        int32x4_t high = high_half(to[t]);
        low = vdotq_laneq_s32(low, vld1q_s8(w), input, 0);
        high = vdotq_laneq_s32(high, vld1q_s8(w + 16), input, 0);
        low = vdotq_laneq_s32(low, vld1q_s8(w + 32), input, 1);
        high = vdotq_laneq_s32(high, vld1q_s8(w + 48), input, 1);
        low = vdotq_laneq_s32(low, vld1q_s8(w + 64), input, 2);
        high = vdotq_laneq_s32(high, vld1q_s8(w + 80), input, 2);
        low = vdotq_laneq_s32(low, vld1q_s8(w + 96), input, 3);
        high = vdotq_laneq_s32(high, vld1q_s8(w + 112), input, 3);
        to[t] = join(low, high);
      }
    }
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
