#include "ops/cpu/scalar/kernels.h"

#include "ops/cpu/dtypes.h"

namespace spillway::ops::cpu::scalar {

CpuKernels kernels() {
  CpuKernels k = {
      .name = "scalar",
      .rms_norm = rms_norm,
      .quantise = quantise,
      .rope = rope,
      .store_f16 = store_f16,
      .attention = attention,
      .swiglu = swiglu,
      .add = add,
      .softmax = softmax,
  };
  for (const DType dtype : kAllDTypes) {
    k.dequantise[slot(dtype)] = dequantise_kernel(dtype);
    k.matmul[slot(dtype)] = is_quantised(dtype) ? matmul_quantised : matmul_floats;
  }
  return k;
}

}  // namespace spillway::ops::cpu::scalar
