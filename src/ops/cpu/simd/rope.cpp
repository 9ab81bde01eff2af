// Rotary position embedding: pairs of one head turn by given angles.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/rope.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

void turn_one(const RopePairs& pairs, size_t i) {
  float& first = pairs.first[i * pairs.step];
  float& second = pairs.second[i * pairs.step];
  const float a = first;
  const float b = second;
  first = a * pairs.cosines[i] - b * pairs.sines[i];
  second = a * pairs.sines[i] + b * pairs.cosines[i];
}

void rope(const RopePairs& pairs) {
  const hn::ScalableTag<float> df;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= pairs.count; i += lanes) {
    const auto cosine = hn::LoadU(df, pairs.cosines + i);
    const auto sine = hn::LoadU(df, pairs.sines + i);
    hn::Vec<decltype(df)> a;
    hn::Vec<decltype(df)> b;
    if (pairs.step == 1) {
      a = hn::LoadU(df, pairs.first + i);
      b = hn::LoadU(df, pairs.second + i);
    } else {  // first and second lie side by side
      hn::LoadInterleaved2(df, pairs.first + 2 * i, a, b);
    }
    const auto turned_a = hn::Sub(hn::Mul(a, cosine), hn::Mul(b, sine));
    const auto turned_b = hn::Add(hn::Mul(a, sine), hn::Mul(b, cosine));
    if (pairs.step == 1) {
      hn::StoreU(turned_a, df, pairs.first + i);
      hn::StoreU(turned_b, df, pairs.second + i);
    } else {
      hn::StoreInterleaved2(turned_a, turned_b, df, pairs.first + 2 * i);
    }
  }
  for (; i < pairs.count; ++i) turn_one(pairs, i);
}

void fill_rope(CpuKernels& kernels) {
  kernels.rope = rope;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_rope);
void simd::set_rope(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_rope), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
