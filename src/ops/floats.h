// Elements of 16 or 32 bits as floats and back, in a GPU's stream: what the CPU's rows take and
// give. Kernels read and write host memory in place: a copy of a few KiB would queue behind copies
// of megabytes in the same engine. Any thread.
#pragma once

#include <cstddef>

#include "platform/gpu.h"
#include "tensor/dtype.h"

namespace spillway::ops {

// kF32, kF16 or kBF16, in memory that the GPU reaches.
struct Elements {
  DType dtype = DType::kF32;
  void* data = nullptr;
  size_t count = 0;
};

// Exact. kUsage: another dtype.
Result<void> widen(platform::Gpu& gpu, const Elements& from, float* to, Stream stream);
// Rounded to the nearest, to even where two are as near. kUsage as above.
Result<void> narrow(platform::Gpu& gpu, const float* from, const Elements& to, Stream stream);

}  // namespace spillway::ops
