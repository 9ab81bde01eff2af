// What the contract of joined operations needs: values of every dtype in the GPU's memory and back.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "environment.h"
#include "ops/cpu/half.h"
#include "ops/fused.h"

namespace spillway::platform {

inline constexpr std::array kDTypes{DType::kF32, DType::kF16, DType::kBF16};
inline constexpr float kEpsilon = 1e-5F;

inline size_t size_of(DType dtype) {
  return dtype == DType::kF32 ? 4 : 2;
}

inline float rounded(DType dtype, float value) {
  switch (dtype) {
    case DType::kF16:
      return ops::cpu::f16_to_f32(ops::cpu::f32_to_f16(value));
    case DType::kBF16:
      return ops::cpu::bf16_to_f32(ops::cpu::f32_to_bf16(value));
    default:
      return value;
  }
}

// Of the last place of such a value.
inline float last_place(DType dtype, float value) {
  const int bits = dtype == DType::kF32 ? 23 : dtype == DType::kF16 ? 10 : 7;
  return std::ldexp(1.0F, std::ilogb(std::max(std::abs(value), 1e-4F)) - bits);
}

class GpuFused : public GpuContract {
 protected:
  void SetUp() override {
    GpuContract::SetUp();
    if (IsSkipped()) return;
    memory_ = std::make_unique<Pieces>(gpu(), std::vector{Place::kDevice},
                                       (kBytes + granularity() - 1) / granularity());
  }
  void TearDown() override {
    memory_.reset();
    GpuContract::TearDown();
  }

  // Values that the dtype has; what is put next comes behind it.
  std::vector<float> values(DType dtype, size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = rounded(dtype, normal(random_));
    return values;
  }
  std::byte* put(DType dtype, const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * size_of(dtype));
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half =
          dtype == DType::kF16 ? ops::cpu::f32_to_f16(values[i]) : ops::cpu::f32_to_bf16(values[i]);
      const void* from = dtype == DType::kF32 ? static_cast<const void*>(&values[i]) : &half;
      std::memcpy(bytes.data() + i * size_of(dtype), from, size_of(dtype));
    }
    std::byte* at = room(bytes.size());
    write(at, bytes);
    return at;
  }
  // Filled with what no result is.
  std::byte* room(size_t bytes) {
    std::byte* at = memory_->start() + used_;
    used_ += (bytes + 255) / 256 * 256;
    fill(at, 0xFF, bytes);
    return at;
  }
  std::vector<float> get(DType dtype, const std::byte* at, size_t count) {
    const auto bytes = read(at, count * size_of(dtype));
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) {
      uint16_t half = 0;
      if (dtype == DType::kF32) {
        std::memcpy(&values[i], bytes.data() + 4 * i, 4);
      } else {
        std::memcpy(&half, bytes.data() + 2 * i, 2);
        values[i] = dtype == DType::kF16 ? ops::cpu::f16_to_f32(half) : ops::cpu::bf16_to_f32(half);
      }
    }
    return values;
  }
  void start_again() { used_ = 0; }

  std::mt19937 random_{5};

 private:
  static constexpr size_t kBytes = 4 << 20;
  std::unique_ptr<Pieces> memory_;
  size_t used_ = 0;
};

}  // namespace spillway::platform
