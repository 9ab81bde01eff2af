// Matmul over the K formats: blocks of 256 values, with scales of their own for every 16 or 32 of
// them. Scales per 16 are multiplied into the integers, which stay within 16 bits.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/matmul_k.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/k_scales.h"
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/matmul_quantised-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

template <size_t kBlockBytes, Minima kKind>
struct KFormat {
  static constexpr size_t kColumns = 256;
  static constexpr size_t kBytes = kBlockBytes;
  static constexpr Minima kMinima = kKind;
  static constexpr size_t kMinimumColumns = kKind == Minima::kPer16 ? 16 : 32;
};

HWY_INLINE Integers constant(int value) {
  return hn::Set(Sub(), static_cast<int16_t>(value));
}

HWY_INLINE int byte_at(const std::byte* at) {
  return std::to_integer<int>(*at);
}

HWY_INLINE void fill(float* out, size_t count, float value) {
  for (size_t i = 0; i < count; ++i) out[i] = value;
}

// Columns [first, first + lanes) of 256 that keep two bits each: 128 share 32 bytes, 32 each at
// bits 0, 2, 4, 6.
HWY_INLINE Integers two_bits(const std::byte* bytes, size_t first) {
  const Integers all = load_bytes_as_integers(bytes + first / 128 * 32 + first % 32);
  const int shift = static_cast<int>(first % 128 / 32 * 2);
  return hn::And(hn::ShiftRightSame(all, shift), constant(3));
}

// Likewise single bits, as `value` or 0: 32 bytes, 32 columns each at bits 0, 1, … 7.
HWY_INLINE Integers one_bit(const std::byte* bytes, size_t first, int value) {
  const Integers all = load_bytes_as_integers(bytes + first % 32);
  const auto set = hn::TestBit(all, constant(1 << first / 32));
  return hn::IfThenElseZero(set, constant(value));
}

// The formats are described in scalar/dequantise_k.cpp.

struct Q2_K : KFormat<84, Minima::kPer16> {
  static HWY_INLINE void unpack(const std::byte* block, int16_t* values, float* scales,
                                float* minima) {
    const float min_scale = half_at(block + 82);
    fill(scales, 8, half_at(block + 80));
    for (size_t sub = 0; sub < 16; ++sub) {
      const int both = byte_at(block + sub);
      minima[sub] = -min_scale * static_cast<float>(both >> 4);
      for (size_t i = sub * 16; i < sub * 16 + 16; i += hn::Lanes(Sub())) {
        const Integers q = two_bits(block + 16, i);
        hn::Store(hn::Mul(q, constant(both & 15)), Sub(), values + i);
      }
    }
  }
};

struct Q3_K : KFormat<110, Minima::kNone> {
  static HWY_INLINE void unpack(const std::byte* block, int16_t* values, float* scales,
                                float* /*minima*/) {
    fill(scales, 8, half_at(block + 108));
    const auto sub_scales = unpack_q3_scales(block + 96);
    for (size_t sub = 0; sub < 16; ++sub) {
      for (size_t i = sub * 16; i < sub * 16 + 16; i += hn::Lanes(Sub())) {
        const Integers third = one_bit(block, i, 4);
        const Integers q = hn::Sub(hn::Add(two_bits(block + 32, i), third), constant(4));
        hn::Store(hn::Mul(q, constant(sub_scales[sub])), Sub(), values + i);
      }
    }
  }
};

template <bool kFive>
struct Q45_K : KFormat<kFive ? 176 : 144, Minima::kPer32> {
  static HWY_INLINE void unpack(const std::byte* block, int16_t* values, float* scales,
                                float* minima) {
    constexpr size_t kNibbles = 16 + (kFive ? 32 : 0);
    const float scale = half_at(block);
    const float min_scale = half_at(block + 2);
    const ScalesAndMins sub = unpack_scales_and_mins(block + 4);
    for (size_t s = 0; s < 8; ++s) {
      scales[s] = scale * static_cast<float>(sub.scales[s]);
      minima[s] = -min_scale * static_cast<float>(sub.mins[s]);
    }
    for (size_t pair = 0; pair < 256; pair += 64) {  // 64 values share 32 bytes
      for (size_t i = 0; i < 32; i += hn::Lanes(Sub())) {
        const Integers both = load_bytes_as_integers(block + kNibbles + pair / 2 + i);
        Integers low = hn::And(both, constant(15));
        Integers high = hn::ShiftRight<4>(both);
        if constexpr (kFive) {
          low = hn::Or(low, one_bit(block + 16, pair + i, 16));
          high = hn::Or(high, one_bit(block + 16, pair + 32 + i, 16));
        }
        hn::Store(low, Sub(), values + pair + i);
        hn::Store(high, Sub(), values + pair + 32 + i);
      }
    }
  }
};

struct Q6_K : KFormat<210, Minima::kNone> {
  static HWY_INLINE void unpack(const std::byte* block, int16_t* values, float* scales,
                                float* /*minima*/) {
    fill(scales, 8, half_at(block + 208));
    for (size_t sub = 0; sub < 16; ++sub) {
      const auto sub_scale = constant(load<int8_t>(block + 192 + sub));
      for (size_t i = sub * 16; i < sub * 16 + 16; i += hn::Lanes(Sub())) {
        const Integers both = load_bytes_as_integers(block + i / 128 * 64 + i % 64);
        const int shift = static_cast<int>(i % 128 / 64 * 4);
        const Integers low = hn::And(hn::ShiftRightSame(both, shift), constant(15));
        const Integers high = hn::ShiftLeft<4>(two_bits(block + 128, i));
        const Integers q = hn::Sub(hn::Or(low, high), constant(32));
        hn::Store(hn::Mul(q, sub_scale), Sub(), values + i);
      }
    }
  }
};

void fill_matmul_k(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kQ2_K)] = matmul_quantised<Q2_K>;
  kernels.matmul[slot(DType::kQ3_K)] = matmul_quantised<Q3_K>;
  kernels.matmul[slot(DType::kQ4_K)] = matmul_quantised<Q45_K<false>>;
  kernels.matmul[slot(DType::kQ5_K)] = matmul_quantised<Q45_K<true>>;
  kernels.matmul[slot(DType::kQ6_K)] = matmul_quantised<Q6_K>;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_matmul_k);
void simd::set_matmul_k(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_matmul_k), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
