#include "ops/floats.h"

#include <algorithm>
#include <array>

#include "base/result.h"
#include "ops/cpu/half.h"
#include "ops/cuda/images.h"

namespace spillway::ops {
namespace {

using platform::from_argument;
using platform::Gpu;
using platform::Kernel;
using platform::KernelArgument;
using platform::to_argument;

constexpr unsigned kThreads = 256;
constexpr size_t kMostBlocks = 1024;

// The kernels of cuda/floats.cu, one element after the other. Arguments: from, to, count, dtype.
void widen_on_cpu(std::span<const KernelArgument> arguments) {
  const auto* halves = from_argument<const uint16_t*>(arguments[0]);
  const auto* floats = from_argument<const float*>(arguments[0]);
  auto* to = from_argument<float*>(arguments[1]);
  const auto dtype = static_cast<DType>(arguments[3]);
  for (uint64_t i = 0; i < arguments[2]; ++i) {
    to[i] = dtype == DType::kF32    ? floats[i]
            : dtype == DType::kBF16 ? cpu::bf16_to_f32(halves[i])
                                    : cpu::f16_to_f32(halves[i]);
  }
}

void narrow_on_cpu(std::span<const KernelArgument> arguments) {
  const auto* from = from_argument<const float*>(arguments[0]);
  auto* halves = from_argument<uint16_t*>(arguments[1]);
  auto* floats = from_argument<float*>(arguments[1]);
  const auto dtype = static_cast<DType>(arguments[3]);
  for (uint64_t i = 0; i < arguments[2]; ++i) {
    if (dtype == DType::kF32) {
      floats[i] = from[i];
    } else {
      halves[i] = dtype == DType::kBF16 ? cpu::f32_to_bf16(from[i]) : cpu::f32_to_f16(from[i]);
    }
  }
}

struct Conversion {
  const void* from;
  void* to;
  size_t count;
  DType dtype;
};

Result<void> launch(Gpu& gpu, const Kernel& kernel, const Conversion& what, Stream stream) {
  if (what.dtype != DType::kF32 && what.dtype != DType::kF16 && what.dtype != DType::kBF16) {
    return fail(ErrorCode::kUsage, "elements of dtype {} are no F32, F16 or BF16",
                static_cast<int>(what.dtype));
  }
  if (what.count == 0) return {};
  const std::array arguments{to_argument(what.from), to_argument(what.to),
                             to_argument(uint64_t{what.count}),
                             to_argument(static_cast<uint32_t>(what.dtype))};
  const auto blocks =
      static_cast<unsigned>(std::min((what.count + kThreads - 1) / kThreads, kMostBlocks));
  return gpu.launch(kernel, {.blocks = blocks, .threads = kThreads}, arguments, stream);
}

}  // namespace

Result<void> widen(Gpu& gpu, const Elements& from, float* to, Stream stream) {
  return launch(gpu, {"widen_elements", images::floats(), widen_on_cpu},
                {from.data, to, from.count, from.dtype}, stream);
}

Result<void> narrow(Gpu& gpu, const float* from, const Elements& to, Stream stream) {
  return launch(gpu, {"narrow_floats", images::floats(), narrow_on_cpu},
                {from, to.data, to.count, to.dtype}, stream);
}

}  // namespace spillway::ops
