// The left side of a quantised matmul: the same integers, scales and sums as the scalar kernel, bit
// for bit.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/quantise.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/quantise_scale.h"
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

using Floats = hn::CappedTag<float, kSubColumns>;

HWY_INLINE float largest_magnitude(const float* x) {
  const Floats df;
  auto largest = hn::Zero(df);
  HWY_UNROLL(4)
  for (size_t i = 0; i < kScaleColumns; i += hn::Lanes(df))
    largest = hn::Max(largest, hn::Abs(hn::LoadU(df, x + i)));
  return hn::GetLane(hn::MaxOfLanes(df, largest));
}

// Writes 16 integers and returns their sum.
HWY_INLINE int32_t quantise_sub_block(const float* x, float inverse, int8_t* out) {
  const Floats df;
  const hn::Rebind<int32_t, Floats> d32;
  const hn::Rebind<int8_t, Floats> d8;
  auto sum = hn::Zero(d32);
  HWY_UNROLL(4)
  for (size_t i = 0; i < kSubColumns; i += hn::Lanes(df)) {
    const auto q = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), hn::Set(df, inverse)));
    sum = hn::Add(sum, q);
    hn::StoreU(hn::DemoteTo(d8, q), d8, out + i);
  }
  return hn::GetLane(hn::SumOfLanes(d32, sum));
}

void quantise(const float* x, size_t columns, const PreparedToken<std::byte>& out) {
  for (size_t block = 0; block < columns / kScaleColumns; ++block) {
    const float* from = x + block * kScaleColumns;
    int8_t* to = out.values + block * kScaleColumns;
    const QuantiseScale scale = quantise_scale(largest_magnitude(from));
    const int32_t first = quantise_sub_block(from, scale.inverse, to);
    const int32_t second = quantise_sub_block(from + kSubColumns, scale.inverse, to + kSubColumns);
    out.scales[block] = scale.scale;
    out.sums16[2 * block] = scale.scale * static_cast<float>(first);
    out.sums16[2 * block + 1] = scale.scale * static_cast<float>(second);
    out.totals16[2 * block] = static_cast<int16_t>(first);
    out.totals16[2 * block + 1] = static_cast<int16_t>(second);
    out.sums32[block] = scale.scale * static_cast<float>(first + second);
  }
}

void fill_quantise(CpuKernels& kernels) {
  kernels.quantise = quantise;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_quantise);
void simd::set_quantise(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_quantise), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
