#include "ops/quantise/weight_quantiser.h"

#include "ops/cpu/scalar/kernels.h"
#include "ops/quantise/quantise_k.h"
#include "ops/quantise/quantise_legacy.h"

namespace spillway::ops {

QuantiseRow weight_quantiser(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return quantise_f32;
    case DType::kF16:
      return quantise_f16;
    case DType::kBF16:
      return quantise_bf16;
    case DType::kQ4_0:
      return quantise_q4_0;
    case DType::kQ4_1:
      return quantise_q4_1;
    case DType::kQ5_0:
      return quantise_q5_0;
    case DType::kQ5_1:
      return quantise_q5_1;
    case DType::kQ8_0:
      return quantise_q8_0;
    case DType::kQ4_K:
      return quantise_q4_k;
    case DType::kQ5_K:
      return quantise_q5_k;
    case DType::kQ6_K:
      return quantise_q6_k;
    default:
      return nullptr;
  }
}

DequantiseRow weight_dequantiser(DType dtype) {
  return cpu::scalar::dequantise_kernel(dtype);
}

}  // namespace spillway::ops
