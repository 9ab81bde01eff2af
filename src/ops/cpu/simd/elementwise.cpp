// add, swiglu, geglu, soft_cap, scale and softmax. An element's result must not depend on where a
// range ends: ends go through the same vector code as the rest.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/elementwise.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "hwy/contrib/math/math-inl.h"
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

void add(float* x, const float* y, size_t count) {
  const Floats df;
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df))
    hn::StoreU(hn::Add(hn::LoadU(df, x + i), hn::LoadU(df, y + i)), df, x + i);
  for (; i < count; ++i) x[i] += y[i];
}

// gate / (1 + e^-gate) × up. Where e^-gate would overflow the result is a negative zero or nearly.
HWY_INLINE Vector swiglu_of(Floats df, Vector gate, Vector up) {
  const Vector exponent = hn::Min(hn::Neg(gate), hn::Set(df, 88.0F));
  const Vector one = hn::Set(df, 1.0F);
  return hn::Mul(hn::Div(gate, hn::Add(one, hn::Exp(df, exponent))), up);
}

// gate × up / (1 + e^-2u), u = √(2/π) (gate + 0.044715 gate³): gelu by its tanh form.
HWY_INLINE Vector geglu_of(Floats df, Vector gate, Vector up) {
  const Vector square = hn::Mul(gate, gate);
  // -2 √(2/π) and that × 0.044715.
  const Vector factor =
      hn::MulAdd(square, hn::Set(df, -0.07135481628260025F), hn::Set(df, -1.5957691216057308F));
  const Vector exponent = hn::Min(hn::Mul(gate, factor), hn::Set(df, 88.0F));
  const Vector one = hn::Set(df, 1.0F);
  return hn::Mul(hn::Div(gate, hn::Add(one, hn::Exp(df, exponent))), up);
}

// gate = of(gate, up), element by element.
template <Vector (*kOf)(Floats, Vector, Vector)>
void gated(float* gate, const float* up, size_t count) {
  const Floats df;
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df))
    hn::StoreU(kOf(df, hn::LoadU(df, gate + i), hn::LoadU(df, up + i)), df, gate + i);
  if (i < count) {
    const size_t rest = count - i;
    const Vector y = kOf(df, load_part(df, gate + i, rest), load_part(df, up + i, rest));
    store_part(df, y, gate + i, rest);
  }
}

HWY_INLINE Vector soft_cap_of(Floats df, Vector x, Vector cap) {
  return hn::Mul(cap, hn::Tanh(df, hn::Div(x, cap)));
}

void soft_cap(float* x, float cap, size_t count) {
  const Floats df;
  const Vector caps = hn::Set(df, cap);
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df))
    hn::StoreU(soft_cap_of(df, hn::LoadU(df, x + i), caps), df, x + i);
  if (i < count) {
    const size_t rest = count - i;
    store_part(df, soft_cap_of(df, load_part(df, x + i, rest), caps), x + i, rest);
  }
}

void scale(float* x, float factor, size_t count) {
  const Floats df;
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df))
    hn::StoreU(hn::Mul(hn::LoadU(df, x + i), hn::Set(df, factor)), df, x + i);
  for (; i < count; ++i) x[i] *= factor;
}

float largest_of(const float* x, size_t count) {
  const Floats df;
  Vector largest = hn::Set(df, x[0]);
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df))
    largest = hn::Max(largest, hn::LoadU(df, x + i));
  float result = hn::GetLane(hn::MaxOfLanes(df, largest));
  for (; i < count; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

// x = e^(x - largest) for up to a vector's lanes; the sum of them lane by lane.
HWY_INLINE Vector exponentials(Floats df, float* x, size_t count, Vector largest) {
  if (count >= hn::Lanes(df)) {
    const Vector e = hn::Exp(df, hn::Sub(hn::LoadU(df, x), largest));
    hn::StoreU(e, df, x);
    return e;
  }
  const Vector e = hn::Exp(df, hn::Sub(load_part(df, x, count), largest));
  store_part(df, e, x, count);
  return hn::IfThenElseZero(hn::FirstN(df, count), e);
}

void softmax(float* x, size_t count) {
  if (count == 0) return;
  constexpr size_t kStretch = 1024;  // a vocabulary's worth of additions in float loses digits
  const Floats df;
  const Vector largest = hn::Set(df, largest_of(x, count));
  double total = 0.0;
  for (size_t first = 0; first < count; first += kStretch) {
    Vector sum = hn::Zero(df);
    const size_t end = HWY_MIN(first + kStretch, count);
    for (size_t i = first; i < end; i += hn::Lanes(df))
      sum = hn::Add(sum, exponentials(df, x + i, end - i, largest));
    total += static_cast<double>(sum_of(df, sum));
  }
  const auto scale = static_cast<float>(1.0 / total);
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df))
    hn::StoreU(hn::Mul(hn::LoadU(df, x + i), hn::Set(df, scale)), df, x + i);
  for (; i < count; ++i) x[i] *= scale;
}

void fill_elementwise(CpuKernels& kernels) {
  kernels.add = add;
  kernels.swiglu = gated<swiglu_of>;
  kernels.geglu = gated<geglu_of>;
  kernels.soft_cap = soft_cap;
  kernels.scale = scale;
  kernels.softmax = softmax;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_elementwise);
void simd::set_elementwise(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_elementwise), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
