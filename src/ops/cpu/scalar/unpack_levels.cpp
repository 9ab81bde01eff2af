// IQ4 and MXFP4: four bits choose one of 16 levels. TQ: values are -1, 0 or 1.
#include <algorithm>
#include <array>
#include <bit>

#include "ops/cpu/half.h"
#include "ops/cpu/scalar/unpack_codes.h"

namespace spillway::ops::cpu::scalar {
namespace {

constexpr std::array<int16_t, 16> kIq4Levels = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                1,    13,   25,  38,  53,  69,  89,  113};
// E2M1, doubled. Source: OCP Microscaling Formats (MX) 1.0.
constexpr std::array<int16_t, 16> kMxfp4Levels = {0, 1,  2,  3,  4,  6,  8,  12,
                                                  0, -1, -2, -3, -4, -6, -8, -12};
constexpr std::array<int, 5> kPowersOf3 = {1, 3, 9, 27, 81};

int byte_at(const std::byte* at) {
  return std::to_integer<int>(*at);
}

// 32 values of 16 bytes: low nibbles are values 0–15, high ones 16–31.
void put_levels(const std::byte* bytes, const std::array<int16_t, 16>& levels, int16_t* values) {
  for (size_t i = 0; i < 16; ++i) {
    const auto two = std::to_integer<unsigned>(bytes[i]);
    values[i] = levels[two & 15];
    values[i + 16] = levels[two >> 4];
  }
}

// Half of 2^(e − 127): the levels are doubled.
float half_of_e8m0(unsigned e) {
  return std::bit_cast<float>(e < 2 ? uint32_t{0x00200000} << e : (e - 1) << 23);
}

// `digits` × `bytes` ternary digits: digit n of all bytes, then the next. A byte is a fraction of
// 256 in base 3; times 3^n mod 256 leaves digit n in front.
void put_ternary(const std::byte* from, size_t bytes, size_t digits, int16_t* values) {
  for (size_t n = 0; n < digits; ++n) {
    for (size_t i = 0; i < bytes; ++i) {
      const int shifted = byte_at(from + i) * kPowersOf3[n] & 255;
      *values++ = static_cast<int16_t>((shifted * 3 >> 8) - 1);
    }
  }
}

}  // namespace

// Scale f16, 16 bytes of values.
void IQ4_NL::unpack(const std::byte* block, int16_t* values, float* scales) {
  scales[0] = f16_at(block);
  put_levels(block + 2, kIq4Levels, values);
}

// Scale f16, uint16 of 8 × 2 upper bits of scales, 8 nibbles of lower ones, 128 bytes of values.
void IQ4_XS::unpack(const std::byte* block, int16_t* values, float* scales) {
  const int upper = load<uint16_t>(block + 2);
  for (size_t sub = 0; sub < 8; ++sub) {
    const int low = byte_at(block + 4 + sub / 2) >> (sub % 2 * 4) & 15;
    const int six_bits = low | (upper >> 2 * sub & 3) << 4;
    scales[sub] = f16_at(block) * static_cast<float>(six_bits - 32);
    put_levels(block + 8 + 16 * sub, kIq4Levels, values + 32 * sub);
  }
}

// The scale's exponent in a byte, 16 bytes of values.
void MXFP4::unpack(const std::byte* block, int16_t* values, float* scales) {
  scales[0] = half_of_e8m0(std::to_integer<unsigned>(*block));
  put_levels(block + 1, kMxfp4Levels, values);
}

// 32, then 16 bytes of five digits, four of four digits, scale f16.
void TQ1_0::unpack(const std::byte* block, int16_t* values, float* scales) {
  std::fill_n(scales, 8, f16_at(block + 52));
  put_ternary(block, 32, 5, values);
  put_ternary(block + 32, 16, 5, values + 160);
  put_ternary(block + 48, 4, 4, values + 240);
}

// 64 bytes of two bits a value (128 values share 32 bytes), scale f16.
void TQ2_0::unpack(const std::byte* block, int16_t* values, float* scales) {
  std::fill_n(scales, 8, f16_at(block + 64));
  for (size_t i = 0; i < 256; ++i) {
    const int two = byte_at(block + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
    values[i] = static_cast<int16_t>(two - 1);
  }
}

}  // namespace spillway::ops::cpu::scalar
