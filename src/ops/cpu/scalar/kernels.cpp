#include "ops/cpu/scalar/kernels.h"

#include "ops/cpu/dtypes.h"

namespace spillway::ops::cpu::scalar {

CpuKernels kernels() {
  CpuKernels k = {
      .name = "scalar",
      .rms_norm = rms_norm,
      .quantise = quantise,
      .norm_quantise = norm_quantise,
      .rope = rope,
      .attention = attention,
      .attend_chunk = attend_chunk,
      .swiglu = swiglu,
      .geglu = geglu,
      .soft_cap = soft_cap,
      .scale = scale,
      .add = add,
      .softmax = softmax,
  };
  for (const DType dtype : kAllDTypes) {
    k.dequantise[slot(dtype)] = dequantise_kernel(dtype);
    k.matmul[slot(dtype)] = is_quantised(dtype) ? matmul_quantised : matmul_floats;
  }
  for (const DType dtype : kKvDTypes) k.store_kv[slot(dtype)] = store_kv_kernel(dtype);
  return k;
}

}  // namespace spillway::ops::cpu::scalar
