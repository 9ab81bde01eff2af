// A block's groups have scales of 6 or 8 bits of their own: first each group's best scale, then its
// code, then the values' codes for the scale that a reader will see. Layouts as in
// ops/cpu/scalar/dequantise_k.cpp.
#include "ops/quantise/quantise_k.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/quantise/block_codes.h"
#include "ops/quantise/scale_search.h"

namespace spillway::ops {
namespace {

constexpr size_t kBlock = 256;
constexpr size_t kGroups = 8;  // of Q4_K and Q5_K
constexpr size_t kGroupColumns = 32;
constexpr int kMostScale = 63;      // their scales and minima have six bits
constexpr size_t kFineGroups = 16;  // of Q6_K
constexpr size_t kFineColumns = 16;

// Eight scales and eight minima of six bits in 12 bytes (ops/cpu/k_scales.h).
void pack_scales_and_mins(const std::array<int, kGroups>& scales,
                          const std::array<int, kGroups>& mins, std::byte* to) {
  for (size_t i = 0; i < 4; ++i) {
    to[i] = static_cast<std::byte>(scales[i] | (scales[i + 4] >> 4) << 6);
    to[i + 4] = static_cast<std::byte>(mins[i] | (mins[i + 4] >> 4) << 6);
    to[i + 8] = static_cast<std::byte>((scales[i + 4] & 15) | (mins[i + 4] & 15) << 4);
  }
}

// `most` codes of a group's largest value, six bits; 0 where all are 0.
std::array<int, kGroups> six_bit_codes(const std::array<float, kGroups>& values, float largest) {
  std::array<int, kGroups> codes{};
  const float inverse = largest > 0 ? static_cast<float>(kMostScale) / largest : 0.0F;
  for (size_t i = 0; i < kGroups; ++i) codes[i] = nearest_code(inverse * values[i], 0, kMostScale);
  return codes;
}

// Scale f16, scale of minima f16, 12 bytes of scales, [32 bytes of fifth bits], 128 of nibbles.
template <int kBits>
void q45_k(const float* x, std::byte* block) {
  constexpr int kMost = (1 << kBits) - 1;
  constexpr size_t kNibbles = 16 + (kBits == 5 ? 32 : 0);
  constexpr ScaleSteps kSteps =
      kBits == 5 ? ScaleSteps{-0.5F, 0.1F, 15} : ScaleSteps{-1.0F, 0.1F, 20};
  std::array<float, kGroups> scales;
  std::array<float, kGroups> mins;
  for (size_t g = 0; g < kGroups; ++g) {
    const auto found = search_affine_scale({x + g * kGroupColumns, kGroupColumns}, kMost, kSteps);
    scales[g] = found.scale;
    mins[g] = found.minimum;
  }
  const float largest_scale = std::ranges::max(scales);
  const float largest_min = std::ranges::max(mins);
  const auto scale_codes = six_bit_codes(scales, largest_scale);
  const auto min_codes = six_bit_codes(mins, largest_min);
  std::fill_n(block, kNibbles + kBlock / 2, std::byte{0});
  store_f16(block, largest_scale / kMostScale);
  store_f16(block + 2, largest_min / kMostScale);
  pack_scales_and_mins(scale_codes, min_codes, block + 4);

  const float scale = rounded_to_f16(largest_scale / kMostScale);
  const float min_scale = rounded_to_f16(largest_min / kMostScale);
  for (size_t i = 0; i < kBlock; ++i) {
    const size_t g = i / kGroupColumns;
    const float step = scale * static_cast<float>(scale_codes[g]);
    if (step == 0) continue;
    const float minimum = min_scale * static_cast<float>(min_codes[g]);
    const int code = nearest_code((x[i] + minimum) / step, 0, kMost);
    add_bits(block[kNibbles + i / 64 * 32 + i % 32], code & 15, i % 64 / 32 * 4);
    if constexpr (kBits == 5) add_bits(block[16 + i % 32], code >> 4, i / 32);
  }
}

// 128 bytes of low nibbles, 64 of upper two bits, 16 signed scales, scale f16. Codes are centred at
// 32.
void q6_k(const float* x, std::byte* block) {
  std::array<float, kFineGroups> scales;
  for (size_t g = 0; g < kFineGroups; ++g)
    scales[g] = search_symmetric_scale({x + g * kFineColumns, kFineColumns}, 32);
  const float extreme =
      *std::ranges::max_element(scales, {}, [](float value) { return std::abs(value); });
  std::fill_n(block, 210, std::byte{0});
  store_f16(block + 208, extreme / -128.0F);
  const float scale = rounded_to_f16(extreme / -128.0F);
  const float inverse = extreme == 0 ? 0.0F : -128.0F / extreme;
  for (size_t g = 0; g < kFineGroups; ++g) {
    const int scale_code = nearest_code(inverse * scales[g], -128, 127);
    store(block + 192 + g, static_cast<int8_t>(scale_code));
    const float step = scale * static_cast<float>(scale_code);
    for (size_t i = g * kFineColumns; i < (g + 1) * kFineColumns; ++i) {
      const int code = (step == 0 ? 0 : nearest_code(x[i] / step, -32, 31)) + 32;
      add_bits(block[i / 128 * 64 + i % 64], code & 15, i % 128 / 64 * 4);
      add_bits(block[128 + i / 128 * 32 + i % 32], code >> 4, i % 128 / 32 * 2);
    }
  }
}

template <void (*kOne)(const float*, std::byte*), size_t kBytes>
void blocks(const float* values, std::byte* row, size_t columns) {
  for (size_t i = 0; i < columns; i += kBlock, row += kBytes) kOne(values + i, row);
}

}  // namespace

void quantise_q4_k(const float* values, std::byte* row, size_t columns) {
  blocks<q45_k<4>, 144>(values, row, columns);
}
void quantise_q5_k(const float* values, std::byte* row, size_t columns) {
  blocks<q45_k<5>, 176>(values, row, columns);
}
void quantise_q6_k(const float* values, std::byte* row, size_t columns) {
  blocks<q6_k, 210>(values, row, columns);
}

}  // namespace spillway::ops
