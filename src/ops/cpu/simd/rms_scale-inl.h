// What root mean square normalisation multiplies a token with. Compiled once per target, within
// foreach_target.
#if defined(SPILLWAY_OPS_CPU_SIMD_RMS_SCALE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPILLWAY_OPS_CPU_SIMD_RMS_SCALE_INL_H_
#undef SPILLWAY_OPS_CPU_SIMD_RMS_SCALE_INL_H_
#else
#define SPILLWAY_OPS_CPU_SIMD_RMS_SCALE_INL_H_
#endif

#include <cmath>

#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

// 1 / sqrt(mean(x²) + epsilon).
HWY_INLINE float rms_scale(const float* x, float epsilon, size_t count) {
  const hn::ScalableTag<float> df;
  const size_t lanes = hn::Lanes(df);
  auto sum0 = hn::Zero(df);
  auto sum1 = hn::Zero(df);
  size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const auto a = hn::LoadU(df, x + i);
    const auto b = hn::LoadU(df, x + i + lanes);
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  double sum = static_cast<double>(sum_of(df, hn::Add(sum0, sum1)));
  for (; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(count);
  return static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(epsilon)));
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
