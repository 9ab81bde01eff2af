// Rows of any dtype with random bytes and sane scales, and other random numbers, from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "ops/cpu/dtypes.h"
#include "ops/cpu/half.h"
#include "tensor/dtype.h"

namespace spillway::testing {

inline std::vector<float> random_floats(std::mt19937& random, size_t count, float scale = 1.0F) {
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Offsets of the f16 scales in a block. IQ1_M has its scale's bits in four places, MXFP4 an
// exponent: see set_scales.
inline std::vector<size_t> scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return {};
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0:
      return {0};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    case DType::kIQ2_XXS:
    case DType::kIQ2_XS:
    case DType::kIQ3_XXS:
    case DType::kIQ1_S:
    case DType::kIQ4_NL:
    case DType::kIQ3_S:
    case DType::kIQ2_S:
    case DType::kIQ4_XS:
      return {0};
    case DType::kTQ1_0:
      return {52};
    case DType::kTQ2_0:
      return {64};
    case DType::kIQ1_M:
    case DType::kMXFP4:
      return {};
  }
  return {};
}

inline void store_half(uint16_t half, std::byte* to) {
  std::memcpy(to, &half, sizeof(half));
}

// The scales of the two formats that have no f16 in one piece.
inline void set_other_scales(DType dtype, float scale, std::byte* block) {
  const uint16_t half = ops::cpu::f32_to_f16(scale);
  if (dtype == DType::kMXFP4) *block = static_cast<std::byte>(118 + (half & 3));
  for (size_t i = 0; i < 4 && dtype == DType::kIQ1_M; ++i) {  // nibble i on top of the i-th uint16
    std::byte& top = block[49 + 2 * i];
    top = (top & std::byte{0x0F}) | static_cast<std::byte>((half >> 4 * i & 15) << 4);
  }
}

// `elements` (whole blocks) of the dtype.
inline std::vector<std::byte> random_weights(std::mt19937& random, DType dtype, size_t elements) {
  const DTypeInfo& info = dtype_info(dtype);
  std::vector<std::byte> bytes(row_bytes(dtype, elements));
  if (info.block_elements == 1) {
    const std::vector<float> values = random_floats(random, elements);
    for (size_t i = 0; i < elements; ++i) {
      uint32_t bits = 0;
      std::memcpy(&bits, &values[i], sizeof(bits));
      std::byte* to = bytes.data() + i * info.block_bytes;
      if (dtype == DType::kF32) std::memcpy(to, &bits, sizeof(bits));
      if (dtype == DType::kF16) store_half(ops::cpu::f32_to_f16(values[i]), to);
      if (dtype == DType::kBF16) store_half(static_cast<uint16_t>(bits >> 16), to);
    }
    return bytes;
  }
  std::uniform_int_distribution<int> byte(0, 255);
  std::uniform_real_distribution<float> scale(-0.02F, 0.02F);
  for (std::byte& b : bytes) b = static_cast<std::byte>(byte(random));
  for (size_t block = 0; block < bytes.size(); block += info.block_bytes) {
    for (const size_t offset : scale_offsets(dtype))
      store_half(ops::cpu::f32_to_f16(scale(random)), bytes.data() + block + offset);
    set_other_scales(dtype, scale(random), bytes.data() + block);
  }
  return bytes;
}

}  // namespace spillway::testing
