#include "ops/cpu/simd/kernels.h"

#include "hwy/highway.h"
#include "ops/cpu/byte_products.h"
#include "ops/cpu/scalar/kernels.h"

namespace spillway::ops::cpu::simd {

std::vector<CpuKernels> supported_kernels() {
  std::vector<CpuKernels> result;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {  // best first
    CpuKernels kernels = scalar::kernels();  // what no function below replaces stays scalar
    kernels.name = hwy::TargetName(target);
    set_elementwise(kernels, target);
    set_rms_norm(kernels, target);
    set_rope(kernels, target);
    set_quantise(kernels, target);
    set_store_f16(kernels, target);
    set_attention(kernels, target);
    set_attend_chunk(kernels, target);
    set_matmul_floats(kernels, target);
    set_matmul_legacy(kernels, target);
    set_matmul_k(kernels, target);
    set_matmul_codes(kernels, target);
    for (const CpuKernels& better : with_byte_products(kernels, target)) result.push_back(better);
  }
  return result;
}

}  // namespace spillway::ops::cpu::simd
