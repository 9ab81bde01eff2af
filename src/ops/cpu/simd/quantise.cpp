// The left side of a quantised matmul, maybe a norm first: the same integers, scales and sums as
// the scalar kernel, bit for bit.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/quantise.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/quantise_scale.h"
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/rms_scale-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

using Floats = hn::CappedTag<float, kSubColumns>;
using Vector = hn::Vec<Floats>;

constexpr size_t kLanes = hn::MaxLanes(Floats());
constexpr size_t kVectors = kScaleColumns / kLanes;

// Writes the integers of some vectors and returns their sum.
template <size_t kCount>
HWY_INLINE int32_t store_integers(const Vector* x, float inverse, int8_t* out) {
  const Floats df;
  const hn::Rebind<int32_t, Floats> d32;
  const hn::Rebind<int8_t, Floats> d8;
  auto sum = hn::Zero(d32);
  HWY_UNROLL(4)
  for (size_t i = 0; i < kCount; ++i) {
    const auto q = hn::NearestInt(hn::Mul(x[i], hn::Set(df, inverse)));
    sum = hn::Add(sum, q);
    hn::StoreU(hn::DemoteTo(d8, q), d8, out + i * kLanes);
  }
  return hn::GetLane(hn::SumOfLanes(d32, sum));
}

// The 32 columns of a block.
HWY_INLINE void quantise_block(const Vector (&x)[kVectors], size_t block,
                               const PreparedToken<std::byte>& out) {
  const Floats df;
  Vector largest = hn::Zero(df);
  HWY_UNROLL(8)
  for (size_t i = 0; i < kVectors; ++i) largest = hn::Max(largest, hn::Abs(x[i]));
  const QuantiseScale scale = quantise_scale(hn::GetLane(hn::MaxOfLanes(df, largest)));
  int8_t* to = out.values + block * kScaleColumns;
  constexpr size_t kHalf = kVectors / 2;
  const int32_t first = store_integers<kHalf>(x, scale.inverse, to);
  const int32_t second = store_integers<kHalf>(x + kHalf, scale.inverse, to + kSubColumns);
  out.scales[block] = scale.scale;
  out.sums16[2 * block] = scale.scale * static_cast<float>(first);
  out.sums16[2 * block + 1] = scale.scale * static_cast<float>(second);
  out.totals16[2 * block] = static_cast<int16_t>(first);
  out.totals16[2 * block + 1] = static_cast<int16_t>(second);
  out.sums32[block] = scale.scale * static_cast<float>(first + second);
}

void quantise(const float* x, size_t columns, const PreparedToken<std::byte>& out) {
  Vector v[kVectors];
  for (size_t block = 0; block < columns / kScaleColumns; ++block, x += kScaleColumns) {
    HWY_UNROLL(8)
    for (size_t i = 0; i < kVectors; ++i) v[i] = hn::LoadU(Floats(), x + i * kLanes);
    quantise_block(v, block, out);
  }
}

// The integers of the norm, multiplied as rms_norm does, without a way through memory.
void norm_quantise(const float* x, const float* weight, float epsilon, size_t columns,
                   const PreparedToken<std::byte>& out) {
  const Vector scale = hn::Set(Floats(), rms_scale(x, epsilon, columns));
  Vector v[kVectors];
  for (size_t block = 0; block < columns / kScaleColumns; ++block) {
    HWY_UNROLL(8)
    for (size_t i = 0; i < kVectors; ++i) {
      const size_t at = block * kScaleColumns + i * kLanes;
      v[i] = hn::Mul(hn::Mul(hn::LoadU(Floats(), x + at), scale), hn::LoadU(Floats(), weight + at));
    }
    quantise_block(v, block, out);
  }
}

void fill_quantise(CpuKernels& kernels) {
  kernels.quantise = quantise;
  kernels.norm_quantise = norm_quantise;
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
