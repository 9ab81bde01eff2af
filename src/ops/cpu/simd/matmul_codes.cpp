// Matmul over the formats that keep codes (IQ, MXFP4, TQ): unpacked one by one, multiplied as all.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/matmul_codes.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/scalar/unpack_codes.h"
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/matmul_quantised-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

template <class Codes>
struct Format : Codes {
  static constexpr Minima kMinima = Minima::kNone;
  static constexpr size_t kMinimumColumns = kScaleColumns;
  static void unpack(const std::byte* block, int16_t* values, float* scales, float*) {
    Codes::unpack(block, values, scales);
  }
};

void fill_matmul_codes(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kIQ1_S)] = matmul_quantised<Format<scalar::IQ1_S>>;
  kernels.matmul[slot(DType::kIQ1_M)] = matmul_quantised<Format<scalar::IQ1_M>>;
  kernels.matmul[slot(DType::kIQ2_XXS)] = matmul_quantised<Format<scalar::IQ2_XXS>>;
  kernels.matmul[slot(DType::kIQ2_XS)] = matmul_quantised<Format<scalar::IQ2_XS>>;
  kernels.matmul[slot(DType::kIQ2_S)] = matmul_quantised<Format<scalar::IQ2_S>>;
  kernels.matmul[slot(DType::kIQ3_XXS)] = matmul_quantised<Format<scalar::IQ3_XXS>>;
  kernels.matmul[slot(DType::kIQ3_S)] = matmul_quantised<Format<scalar::IQ3_S>>;
  kernels.matmul[slot(DType::kIQ4_NL)] = matmul_quantised<Format<scalar::IQ4_NL>>;
  kernels.matmul[slot(DType::kIQ4_XS)] = matmul_quantised<Format<scalar::IQ4_XS>>;
  kernels.matmul[slot(DType::kMXFP4)] = matmul_quantised<Format<scalar::MXFP4>>;
  kernels.matmul[slot(DType::kTQ1_0)] = matmul_quantised<Format<scalar::TQ1_0>>;
  kernels.matmul[slot(DType::kTQ2_0)] = matmul_quantised<Format<scalar::TQ2_0>>;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_matmul_codes);
void simd::set_matmul_codes(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_matmul_codes), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
