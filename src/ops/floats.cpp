#include "ops/floats.h"

#include <array>

#include "base/result.h"
#include "ops/cuda/images.h"
#include "ops/element_kernels.h"

namespace spillway::ops {
namespace {

using platform::from_argument;
using platform::Gpu;
using platform::Kernel;
using platform::KernelArgument;
using platform::to_argument;

// The kernels of cuda/floats.cu, one element after the other. Arguments: from, to, count, dtype.
void widen_on_cpu(std::span<const KernelArgument> arguments) {
  const ElementsOnCpu from(arguments[0], arguments[3]);
  auto* to = from_argument<float*>(arguments[1]);
  for (uint64_t i = 0; i < arguments[2]; ++i) to[i] = from.get(i);
}

void narrow_on_cpu(std::span<const KernelArgument> arguments) {
  const auto* from = from_argument<const float*>(arguments[0]);
  const ElementsOnCpu to(arguments[1], arguments[3]);
  for (uint64_t i = 0; i < arguments[2]; ++i) to.set(i, from[i]);
}

struct Conversion {
  const void* from;
  void* to;
  size_t count;
  DType dtype;
};

Result<void> launch(Gpu& gpu, const Kernel& kernel, const Conversion& what, Stream stream) {
  SPILLWAY_TRY(check_elements(what.dtype));
  const std::array arguments{to_argument(what.from), to_argument(what.to),
                             to_argument(uint64_t{what.count}),
                             to_argument(static_cast<uint32_t>(what.dtype))};
  return launch_elements(gpu, kernel, what.count, arguments, stream);
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
