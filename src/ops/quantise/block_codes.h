// What all quantisers do: rounding to codes, and writing numbers at any alignment. Pure functions;
// any thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ops/cpu/half.h"

namespace spillway::ops {

template <typename T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

inline void store_f16(std::byte* at, float value) {
  store(at, cpu::f32_to_f16(value));
}

// What a reader of store_f16 gets.
inline float rounded_to_f16(float value) {
  return cpu::f16_to_f32(cpu::f32_to_f16(value));
}

// NaN, which 0 / 0 of a block of tiny numbers may give, becomes `low`.
inline float clamped(float value, float low, float high) {
  return value > low ? (value < high ? value : high) : low;
}

// The nearest integer within [low, high], ties to even. Adding 1.5 × 2^23 leaves it in the low bits
// of the sum, several times faster than a call of lrint.
inline int nearest_code(float value, int low, int high) {
  const float kept = clamped(value, static_cast<float>(low), static_cast<float>(high));
  return static_cast<int>(std::bit_cast<uint32_t>(kept + 12582912.0F) - 0x4B400000U);
}

inline void add_bits(std::byte& byte, int bits, size_t shift) {
  byte |= static_cast<std::byte>(bits << shift);
}

}  // namespace spillway::ops
