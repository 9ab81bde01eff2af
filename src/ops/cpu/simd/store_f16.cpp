// Keys and values on their way into an f16 cache. Processors without the conversion keep the scalar
// kernel, whose bits are the same.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/store_f16.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

[[maybe_unused]] void store_f16(const float* from, std::byte* to, size_t count) {
  const hn::ScalableTag<float> df;
  const hn::Rebind<hwy::float16_t, decltype(df)> d16;
  const hn::Repartition<uint8_t, decltype(d16)> bytes;
  size_t i = 0;
  for (; i + hn::Lanes(df) <= count; i += hn::Lanes(df)) {
    const auto halves = hn::DemoteTo(d16, hn::LoadU(df, from + i));
    hn::StoreU(hn::BitCast(bytes, halves), bytes, reinterpret_cast<uint8_t*>(to + 2 * i));
  }
  for (; i < count; ++i) {
    const uint16_t half = f32_to_f16(from[i]);
    std::memcpy(to + 2 * i, &half, sizeof(half));
  }
}

void fill_store_f16(CpuKernels& kernels) {
  if constexpr (kHasF16) kernels.store_kv[slot(DType::kF16)] = store_f16;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_store_f16);
void simd::set_store_f16(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_store_f16), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
