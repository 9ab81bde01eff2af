// Root mean square normalisation of one token.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/rms_norm.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/rms_scale-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

void rms_norm(const float* x, const float* weight, float epsilon, float* y, size_t count) {
  const hn::ScalableTag<float> df;
  const size_t lanes = hn::Lanes(df);
  const float scale = rms_scale(x, epsilon, count);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto scaled = hn::Mul(hn::LoadU(df, x + i), hn::Set(df, scale));
    hn::StoreU(hn::Mul(scaled, hn::LoadU(df, weight + i)), df, y + i);
  }
  for (; i < count; ++i) y[i] = x[i] * scale * weight[i];
}

void fill_rms_norm(CpuKernels& kernels) {
  kernels.rms_norm = rms_norm;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_rms_norm);
void simd::set_rms_norm(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_rms_norm), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
