#include "ops/cpu/simd/kernels.h"

#include "hwy/highway.h"
#include "ops/cpu/avx512/kernels.h"
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
    if (target == HWY_AVX3_DL && avx512::supported()) {
      if (avx512::amx_supported()) {
        CpuKernels amx = kernels;
        amx.name = "AMX";
        avx512::set_matmul_legacy_amx(amx);
        avx512::set_matmul_k_amx(amx);
        result.push_back(amx);
      }
      avx512::set_matmul_legacy(kernels);
      avx512::set_matmul_k(kernels);
    }
    result.push_back(kernels);
  }
  return result;
}

}  // namespace spillway::ops::cpu::simd
