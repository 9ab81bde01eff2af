// What kernels over elements of floats (cuda/floats.cu, cuda/fused.cu) share: their elements on the
// CPU, and how they are launched. Any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "ops/cpu/half.h"
#include "platform/gpu.h"
#include "tensor/dtype.h"

namespace spillway::ops {

// Elements of a dtype, for what kernels do, one after the other.
class ElementsOnCpu {
 public:
  ElementsOnCpu(platform::KernelArgument data, platform::KernelArgument dtype)
      : data_(platform::from_argument<void*>(data)), dtype_(static_cast<DType>(dtype)) {}

  float get(uint64_t i) const {
    if (dtype_ == DType::kF32) return static_cast<const float*>(data_)[i];
    const uint16_t half = static_cast<const uint16_t*>(data_)[i];
    return dtype_ == DType::kBF16 ? cpu::bf16_to_f32(half) : cpu::f16_to_f32(half);
  }
  // Rounds.
  void set(uint64_t i, float value) const {
    if (dtype_ == DType::kF32) {
      static_cast<float*>(data_)[i] = value;
    } else {
      static_cast<uint16_t*>(data_)[i] =
          dtype_ == DType::kBF16 ? cpu::f32_to_bf16(value) : cpu::f32_to_f16(value);
    }
  }
  // As an element of that dtype would be.
  float rounded(float value) const {
    if (dtype_ == DType::kF32) return value;
    return dtype_ == DType::kBF16 ? cpu::bf16_to_f32(cpu::f32_to_bf16(value))
                                  : cpu::f16_to_f32(cpu::f32_to_f16(value));
  }

 private:
  void* data_;
  DType dtype_;
};

// kUsage: another dtype.
inline Result<void> check_elements(DType dtype) {
  if (dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16) return {};
  return fail(ErrorCode::kUsage, "elements of dtype {} are no F32, F16 or BF16",
              static_cast<int>(dtype));
}

// Any grid will do; no element, no launch.
inline Result<void> launch_elements(platform::Gpu& gpu, const platform::Kernel& kernel,
                                    size_t count,
                                    std::span<const platform::KernelArgument> arguments,
                                    Stream stream) {
  constexpr unsigned kThreads = 256;
  constexpr size_t kMostBlocks = 1024;
  if (count == 0) return {};
  const auto blocks =
      static_cast<unsigned>(std::min((count + kThreads - 1) / kThreads, kMostBlocks));
  return gpu.launch(kernel, {.blocks = blocks, .threads = kThreads}, arguments, stream);
}

}  // namespace spillway::ops
