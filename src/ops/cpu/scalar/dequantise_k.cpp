#include "ops/cpu/scalar/dequantise_k.h"

#include "ops/cpu/half.h"
#include "ops/cpu/k_scales.h"

namespace spillway::ops::cpu::scalar {
namespace {

int byte_at(const std::byte* at) {
  return std::to_integer<int>(*at);
}

// Value i of a block that keeps two bits a value: 128 values share 32 bytes, 32 each at bits 0, 2,
// 4, 6.
int two_bits(const std::byte* bytes, size_t i) {
  return byte_at(bytes + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
}

// Value i of a block that keeps four bits a value: 64 values share 32 bytes, low nibbles first.
int four_bits(const std::byte* bytes, size_t i) {
  return byte_at(bytes + i / 64 * 32 + i % 32) >> (i % 64 / 32 * 4) & 15;
}

// Value i of 256 single bits: 32 bytes, 32 values each at bits 0, 1, … 7.
int one_bit(const std::byte* bytes, size_t i) {
  return byte_at(bytes + i % 32) >> (i / 32) & 1;
}

// Q4_K and Q5_K: scale f16, scale of minima f16, 12 bytes of 8 scales and 8 minima, [32 bytes of
// fifth bits], 128 bytes of nibbles.
template <bool kFive>
void q45_k(const std::byte* row, float* out, size_t columns) {
  constexpr size_t kNibbles = 16 + (kFive ? 32 : 0);
  for (; columns > 0; columns -= 256, row += kNibbles + 128, out += 256) {
    const float scale = f16_at(row);
    const float min_scale = f16_at(row + 2);
    const ScalesAndMins sub = unpack_scales_and_mins(row + 4);
    for (size_t i = 0; i < 256; ++i) {
      const int fifth = kFive ? one_bit(row + 16, i) << 4 : 0;
      const auto value = static_cast<float>(four_bits(row + kNibbles, i) | fifth);
      out[i] = scale * static_cast<float>(sub.scales[i / 32]) * value -
               min_scale * static_cast<float>(sub.mins[i / 32]);
    }
  }
}

}  // namespace

// 16 bytes of scales (low nibbles) and minima (high), 64 bytes of values, scale f16, scale of
// minima f16.
void dequantise_q2_k(const std::byte* row, float* out, size_t columns) {
  for (; columns > 0; columns -= 256, row += 84, out += 256) {
    const float scale = f16_at(row + 80);
    const float min_scale = f16_at(row + 82);
    for (size_t i = 0; i < 256; ++i) {
      const int sub = byte_at(row + i / 16);
      out[i] = scale * static_cast<float>(sub & 15) * static_cast<float>(two_bits(row + 16, i)) -
               min_scale * static_cast<float>(sub >> 4);
    }
  }
}

// 32 bytes of third bits (set: add nothing, clear: subtract 4), 64 bytes of two bits, 12 of scales,
// scale f16.
void dequantise_q3_k(const std::byte* row, float* out, size_t columns) {
  for (; columns > 0; columns -= 256, row += 110, out += 256) {
    const float scale = f16_at(row + 108);
    const auto sub = unpack_q3_scales(row + 96);
    for (size_t i = 0; i < 256; ++i) {
      const int value = two_bits(row + 32, i) + 4 * one_bit(row, i) - 4;
      out[i] = scale * static_cast<float>(sub[i / 16]) * static_cast<float>(value);
    }
  }
}

void dequantise_q4_k(const std::byte* row, float* out, size_t columns) {
  q45_k<false>(row, out, columns);
}

void dequantise_q5_k(const std::byte* row, float* out, size_t columns) {
  q45_k<true>(row, out, columns);
}

// 128 bytes of low nibbles (128 values share 64 bytes), 64 bytes of upper two bits, 16 signed
// scales, scale f16. Values are centred at 32.
void dequantise_q6_k(const std::byte* row, float* out, size_t columns) {
  for (; columns > 0; columns -= 256, row += 210, out += 256) {
    const float scale = f16_at(row + 208);
    for (size_t i = 0; i < 256; ++i) {
      const int low = byte_at(row + i / 128 * 64 + i % 64) >> (i % 128 / 64 * 4) & 15;
      const int value = (low | two_bits(row + 128, i) << 4) - 32;
      out[i] =
          scale * static_cast<float>(load<int8_t>(row + 192 + i / 16)) * static_cast<float>(value);
    }
  }
}

}  // namespace spillway::ops::cpu::scalar
