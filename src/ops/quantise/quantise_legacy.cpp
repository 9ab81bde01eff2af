// Floats of 16 bits and blocks of 32 values: Q4_0 to Q8_0, bit for bit as the gguf package writes
// them. A block's scale is that of its extreme values; each value takes the nearest code.
#include "ops/quantise/quantise_legacy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "ops/quantise/block_codes.h"

namespace spillway::ops {
namespace {

using Block = std::span<const float, 32>;

float inverse_of(float scale) {
  return scale == 0.0F ? 0.0F : 1.0F / scale;
}

// The first of those with the largest magnitude.
float extreme_of(Block x) {
  return *std::ranges::max_element(x, {}, [](float value) { return std::abs(value); });
}

int floor_code(float value, int most) {
  return static_cast<int>(clamped(value, 0.0F, static_cast<float>(most)));
}

// 16 bytes whose low nibbles are values 0–15 and whose high ones 16–31, behind their fifth bits
// where there are five.
template <int kBits>
void put_codes(const std::array<int, 32>& codes, std::byte* to) {
  if constexpr (kBits == 5) {
    uint32_t fifth = 0;
    for (size_t i = 0; i < 32; ++i) fifth |= static_cast<uint32_t>(codes[i] >> 4) << i;
    store(to, fifth);
    to += sizeof fifth;
  }
  for (size_t i = 0; i < 16; ++i)
    to[i] = static_cast<std::byte>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

template <int kBits>
void centred(Block x, std::byte* block) {
  constexpr int kCentre = 1 << (kBits - 1);
  const float scale = extreme_of(x) / static_cast<float>(-kCentre);
  const float inverse = inverse_of(scale);
  std::array<int, 32> codes;
  for (size_t i = 0; i < 32; ++i)
    codes[i] = floor_code(x[i] * inverse + static_cast<float>(kCentre) + 0.5F, 2 * kCentre - 1);
  store_f16(block, scale);
  put_codes<kBits>(codes, block + 2);
}

template <int kBits>
void with_minimum(Block x, std::byte* block) {
  constexpr int kMost = (1 << kBits) - 1;
  const auto [least, largest] = std::ranges::minmax(x);
  const float scale = (largest - least) / static_cast<float>(kMost);
  const float inverse = inverse_of(scale);
  std::array<int, 32> codes;
  for (size_t i = 0; i < 32; ++i) codes[i] = floor_code((x[i] - least) * inverse + 0.5F, kMost);
  store_f16(block, scale);
  store_f16(block + 2, least);
  put_codes<kBits>(codes, block + 4);
}

void eight_bits(Block x, std::byte* block) {
  const float scale = std::abs(extreme_of(x)) / 127.0F;
  const float inverse = inverse_of(scale);
  store_f16(block, scale);
  for (size_t i = 0; i < 32; ++i) {
    const float code = clamped(std::round(x[i] * inverse), -127.0F, 127.0F);
    store(block + 2 + i, static_cast<int8_t>(code));
  }
}

template <void (*kBlock)(Block, std::byte*), size_t kBytes>
void blocks(const float* values, std::byte* row, size_t columns) {
  for (size_t i = 0; i < columns; i += 32, row += kBytes) kBlock(Block(values + i, 32), row);
}

}  // namespace

void quantise_f32(const float* values, std::byte* row, size_t columns) {
  std::memcpy(row, values, columns * sizeof(float));
}
void quantise_f16(const float* values, std::byte* row, size_t columns) {
  for (size_t i = 0; i < columns; ++i) store_f16(row + 2 * i, values[i]);
}
// To nearest, ties to even.
void quantise_bf16(const float* values, std::byte* row, size_t columns) {
  for (size_t i = 0; i < columns; ++i) {
    const auto bits = std::bit_cast<uint32_t>(values[i]);
    store(row + 2 * i, static_cast<uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16));
  }
}
void quantise_q4_0(const float* values, std::byte* row, size_t columns) {
  blocks<centred<4>, 18>(values, row, columns);
}
void quantise_q4_1(const float* values, std::byte* row, size_t columns) {
  blocks<with_minimum<4>, 20>(values, row, columns);
}
void quantise_q5_0(const float* values, std::byte* row, size_t columns) {
  blocks<centred<5>, 22>(values, row, columns);
}
void quantise_q5_1(const float* values, std::byte* row, size_t columns) {
  blocks<with_minimum<5>, 24>(values, row, columns);
}
void quantise_q8_0(const float* values, std::byte* row, size_t columns) {
  blocks<eight_bits, 34>(values, row, columns);
}

}  // namespace spillway::ops
