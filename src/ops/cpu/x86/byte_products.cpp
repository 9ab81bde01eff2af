#include "ops/cpu/byte_products.h"

#include "hwy/highway.h"
#include "ops/cpu/avx2/kernels.h"
#include "ops/cpu/avx512/kernels.h"

namespace spillway::ops::cpu {
namespace {

CpuKernels named(CpuKernels kernels, std::string_view name) {
  kernels.name = name;
  return kernels;
}

}  // namespace

std::vector<CpuKernels> with_byte_products(CpuKernels kernels, int64_t target) {
  std::vector<CpuKernels> result;
  if (target > HWY_AVX2) return {kernels};  // Highway numbers better targets lower
  avx2::set_matmul(kernels);
  if (target == HWY_AVX2 && avx2::vnni_supported()) {
    result.push_back(named(kernels, "AVX_VNNI"));
    avx2::set_matmul_vnni(result.back());
  }
  if (target == HWY_AVX3_DL && avx512::supported()) {
    avx512::set_interleave(kernels);
    if (avx512::amx_supported()) {
      result.push_back(named(kernels, "AMX"));
      avx512::set_matmul_legacy_amx(result.back());
      avx512::set_matmul_k_amx(result.back());
    }
    avx512::set_matmul_legacy(kernels);
    avx512::set_matmul_k(kernels);
  }
  result.push_back(kernels);
  return result;
}

}  // namespace spillway::ops::cpu
