#include "ops/cpu/byte_products.h"

#include "hwy/highway.h"
#include "ops/cpu/arm/kernels.h"
#include "platform/arm_features.h"

namespace spillway::ops::cpu {

std::vector<CpuKernels> with_byte_products(CpuKernels kernels, int64_t target) {
  if (target != HWY_NEON) return {kernels};
  const platform::ArmFeatures features = platform::arm_features();
  std::vector<CpuKernels> result;
  if (features.matrix_products) {
    result.push_back(kernels);
    result.back().name = "NEON_I8MM";
    arm::set_matmul_i8mm(result.back());
  }
  if (features.dot_products) {
    result.push_back(kernels);
    result.back().name = "NEON_DOT";
    arm::set_matmul_dot(result.back());
  }
  result.push_back(kernels);
  return result;
}

}  // namespace spillway::ops::cpu
