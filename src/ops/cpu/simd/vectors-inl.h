// What the kernels share: loads of any dtype at any alignment, and parts of vectors. Compiled once
// per target, within foreach_target.
#if defined(SPILLWAY_OPS_CPU_SIMD_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPILLWAY_OPS_CPU_SIMD_VECTORS_INL_H_
#undef SPILLWAY_OPS_CPU_SIMD_VECTORS_INL_H_
#else
#define SPILLWAY_OPS_CPU_SIMD_VECTORS_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "ops/cpu/half.h"
#include "tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Highway numbers better targets lower; from AVX2 on the processor converts f16 itself.
inline constexpr bool kHasF16 = HWY_TARGET <= HWY_AVX2;
inline constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3;  // 32, not 16

// A vector of any element type from any address.
template <class D>
HWY_INLINE hn::Vec<D> load_bytes(D d, const std::byte* from) {
  const hn::Repartition<uint8_t, D> bytes;
  return hn::BitCast(d, hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(from)));
}

template <DType kType>
inline constexpr size_t kElementBytes = kType == DType::kF32 ? 4 : 2;

// Lanes(df) elements of a float type as floats.
template <DType kType, class DF>
HWY_INLINE hn::Vec<DF> load_floats(DF df, const std::byte* from) {
  if constexpr (kType == DType::kF32) {
    return load_bytes(df, from);
  } else if constexpr (kType == DType::kBF16) {
    const hn::Rebind<uint16_t, DF> narrow;
    const hn::Rebind<uint32_t, DF> wide;
    return hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(wide, load_bytes(narrow, from))));
  } else {
    const hn::Rebind<hwy::float16_t, DF> narrow;
    return hn::PromoteTo(df, load_bytes(narrow, from));
  }
}

// The first `count` < Lanes(df) elements; zeros follow.
template <DType kType, class DF>
HWY_INLINE hn::Vec<DF> load_floats_part(DF df, const std::byte* from, size_t count) {
  alignas(64) std::byte padded[HWY_MAX_BYTES] = {};
  std::memcpy(padded, from, count * kElementBytes<kType>);
  return load_floats<kType>(df, padded);
}

template <class DF>
HWY_INLINE hn::Vec<DF> load_part(DF df, const float* from, size_t count) {
  alignas(64) float padded[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(padded, from, count * sizeof(float));
  return hn::Load(df, padded);
}

template <class DF>
HWY_INLINE void store_part(DF df, hn::Vec<DF> v, float* to, size_t count) {
  alignas(64) float padded[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, df, padded);
  std::memcpy(to, padded, count * sizeof(float));
}

template <class DF>
HWY_INLINE float sum_of(DF df, hn::Vec<DF> v) {
  return hn::GetLane(hn::SumOfLanes(df, v));
}

// out[k] = Σ lanes of sums[k] for four vectors: transposed within 128 bits, then added across.
template <class DF>
HWY_INLINE void store_sums(DF df, const hn::Vec<DF> (&sums)[4], float* out) {
  const hn::RepartitionToWide<DF> wide;  // pairs of floats
  const auto ab =
      hn::Add(hn::InterleaveLower(df, sums[0], sums[1]), hn::InterleaveUpper(df, sums[0], sums[1]));
  const auto cd =
      hn::Add(hn::InterleaveLower(df, sums[2], sums[3]), hn::InterleaveUpper(df, sums[2], sums[3]));
  const auto low = hn::InterleaveLower(wide, hn::BitCast(wide, ab), hn::BitCast(wide, cd));
  const auto high = hn::InterleaveUpper(wide, hn::BitCast(wide, ab), hn::BitCast(wide, cd));
  alignas(64) float parts[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(hn::Add(hn::BitCast(df, low), hn::BitCast(df, high)), df, parts);
  const hn::CappedTag<float, 4> four;
  auto total = hn::Load(four, parts);
  for (size_t i = 4; i < hn::Lanes(df); i += 4) total = hn::Add(total, hn::Load(four, parts + i));
  hn::Store(total, four, out);
}

// An f16 scale in a block.
HWY_INLINE float half_at(const std::byte* at) {
  if constexpr (kHasF16) {
    const hn::CappedTag<float, 1> df;
    return hn::GetLane(load_floats<DType::kF16>(df, at));
  } else {
    return f16_at(at);
  }
}

// Elements [i, i + Lanes(df)) of a row of a KV cache; Q8_0: i is a multiple of the lanes, which
// divide its blocks.
template <DType kType, class DF>
HWY_INLINE hn::Vec<DF> load_row(DF df, const std::byte* row, size_t i) {
  if constexpr (kType == DType::kQ8_0) {
    const hn::Rebind<int8_t, DF> narrow;
    const hn::Rebind<int32_t, DF> wide;
    const std::byte* block = row + i / 32 * 34;
    const auto values = hn::PromoteTo(wide, load_bytes(narrow, block + 2 + i % 32));
    return hn::Mul(hn::ConvertTo(df, values), hn::Set(df, half_at(block)));
  } else {
    return load_floats<kType>(df, row + i * kElementBytes<kType>);
  }
}

// The first `count` < Lanes(df) of them; zeros follow. Never for Q8_0, whose rows are whole blocks.
template <DType kType, class DF>
HWY_INLINE hn::Vec<DF> load_row_part(DF df, const std::byte* row, size_t i, size_t count) {
  if constexpr (kType == DType::kQ8_0) {
    return hn::Zero(df);
  } else {
    return load_floats_part<kType>(df, row + i * kElementBytes<kType>, count);
  }
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
