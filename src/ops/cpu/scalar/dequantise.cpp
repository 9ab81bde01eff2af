// Rows of every dtype as floats, rounded as the GGUF reference (ggml, the gguf package) rounds
// them. The embedding look-up of all instruction sets: a row a token needs no more speed.
#include <array>
#include <cstring>

#include "base/check.h"
#include "ops/cpu/half.h"
#include "ops/cpu/scalar/dequantise_k.h"
#include "ops/cpu/scalar/kernels.h"
#include "ops/cpu/scalar/unpack_codes.h"

namespace spillway::ops::cpu::scalar {
namespace {

int byte_at(const std::byte* at) {
  return std::to_integer<int>(*at);
}

void f32(const std::byte* row, float* out, size_t columns) {
  std::memcpy(out, row, columns * sizeof(float));
}

void f16(const std::byte* row, float* out, size_t columns) {
  for (size_t i = 0; i < columns; ++i) out[i] = f16_at(row + 2 * i);
}

void bf16(const std::byte* row, float* out, size_t columns) {
  for (size_t i = 0; i < columns; ++i) out[i] = bf16_to_f32(load<uint16_t>(row + 2 * i));
}

void q8_0(const std::byte* row, float* out, size_t columns) {
  for (; columns > 0; columns -= 32, row += 34, out += 32) {
    const float scale = f16_at(row);
    for (size_t i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(load<int8_t>(row + 2 + i));
  }
}

// Four or five bits a value: block = scale f16, [minimum f16], [32 fifth bits], 16 bytes whose low
// nibbles are values 0–15 and whose high ones 16–31. Without a minimum values are centred.
template <int kBits, bool kMinimum>
void legacy(const std::byte* row, float* out, size_t columns) {
  constexpr size_t kHeader = kMinimum ? 4 : 2;
  constexpr size_t kNibbles = kHeader + (kBits == 5 ? 4 : 0);
  constexpr int kCentre = kMinimum ? 0 : 1 << (kBits - 1);
  for (; columns > 0; columns -= 32, row += kNibbles + 16, out += 32) {
    const float scale = f16_at(row);
    const float minimum = kMinimum ? f16_at(row + 2) : 0.0F;
    const uint32_t fifth = kBits == 5 ? load<uint32_t>(row + kHeader) : 0;
    for (size_t i = 0; i < 32; ++i) {
      const int nibble = byte_at(row + kNibbles + i % 16) >> (i < 16 ? 0 : 4) & 15;
      const int value = (nibble | static_cast<int>(fifth >> i & 1U) << 4) - kCentre;
      out[i] = scale * static_cast<float>(value) + minimum;
    }
  }
}

template <class Codes>
void codes(const std::byte* row, float* out, size_t columns) {
  std::array<int16_t, Codes::kColumns> values;
  std::array<float, Codes::kColumns / kScaleColumns> scales;
  for (; columns > 0; columns -= Codes::kColumns, row += Codes::kBytes) {
    Codes::unpack(row, values.data(), scales.data());
    for (size_t i = 0; i < Codes::kColumns; ++i)
      *out++ = scales[i / kScaleColumns] * static_cast<float>(values[i]);
  }
}

}  // namespace

CpuKernels::Dequantise dequantise_kernel(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return f32;
    case DType::kF16:
      return f16;
    case DType::kBF16:
      return bf16;
    case DType::kQ4_0:
      return legacy<4, false>;
    case DType::kQ4_1:
      return legacy<4, true>;
    case DType::kQ5_0:
      return legacy<5, false>;
    case DType::kQ5_1:
      return legacy<5, true>;
    case DType::kQ8_0:
      return q8_0;
    case DType::kQ2_K:
      return dequantise_q2_k;
    case DType::kQ3_K:
      return dequantise_q3_k;
    case DType::kQ4_K:
      return dequantise_q4_k;
    case DType::kQ5_K:
      return dequantise_q5_k;
    case DType::kQ6_K:
      return dequantise_q6_k;
    case DType::kIQ2_XXS:
      return codes<IQ2_XXS>;
    case DType::kIQ2_XS:
      return codes<IQ2_XS>;
    case DType::kIQ3_XXS:
      return codes<IQ3_XXS>;
    case DType::kIQ1_S:
      return codes<IQ1_S>;
    case DType::kIQ4_NL:
      return codes<IQ4_NL>;
    case DType::kIQ3_S:
      return codes<IQ3_S>;
    case DType::kIQ2_S:
      return codes<IQ2_S>;
    case DType::kIQ4_XS:
      return codes<IQ4_XS>;
    case DType::kIQ1_M:
      return codes<IQ1_M>;
    case DType::kTQ1_0:
      return codes<TQ1_0>;
    case DType::kTQ2_0:
      return codes<TQ2_0>;
    case DType::kMXFP4:
      return codes<MXFP4>;
  }
  check_failed(__FILE__, __LINE__, "every dtype has a kernel");
}

}  // namespace spillway::ops::cpu::scalar
