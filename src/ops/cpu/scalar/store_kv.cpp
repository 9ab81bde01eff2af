// Keys and values on their way into the cache. The bits are the same on every processor: most
// instruction sets use these as they are.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "ops/cpu/half.h"
#include "ops/cpu/scalar/kernels.h"

namespace spillway::ops::cpu::scalar {
namespace {

void store_f32(const float* from, std::byte* to, size_t count) {
  std::memcpy(to, from, count * sizeof(float));
}

template <uint16_t (*kRound)(float)>
void store_halves(const float* from, std::byte* to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint16_t half = kRound(from[i]);
    std::memcpy(to + i * sizeof(half), &half, sizeof(half));
  }
}

// Blocks of 32: the largest magnitude becomes 127 (ggml's Q8_0).
void store_q8_0(const float* from, std::byte* to, size_t count) {
  const auto [name, block, block_bytes] = dtype_info(DType::kQ8_0);
  for (size_t first = 0; first < count; first += block, to += block_bytes) {
    float largest = 0.0F;
    for (size_t i = 0; i < block; ++i) largest = std::max(largest, std::abs(from[first + i]));
    const float scale = largest / 127.0F;
    const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
    const uint16_t half = f32_to_f16(scale);
    std::memcpy(to, &half, sizeof(half));
    for (size_t i = 0; i < block; ++i) {
      // No further than 127 but where the inverse overflows; NaN is stored as some number.
      const float scaled = std::clamp(from[first + i] * inverse, -127.0F, 127.0F);
      const auto rounded = static_cast<int8_t>(std::isnan(scaled) ? 0.0F : std::round(scaled));
      std::memcpy(to + sizeof(half) + i, &rounded, sizeof(rounded));
    }
  }
}

}  // namespace

CpuKernels::StoreKv store_kv_kernel(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return store_f32;
    case DType::kF16:
      return store_halves<f32_to_f16>;
    case DType::kBF16:
      return store_halves<f32_to_bf16>;
    case DType::kQ8_0:
      return store_q8_0;
    default:
      return nullptr;
  }
}

}  // namespace spillway::ops::cpu::scalar
