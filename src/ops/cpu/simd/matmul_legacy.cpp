// Matmul over the formats with blocks of 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/matmul_legacy.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/matmul_quantised-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

struct Q8_0 {
  static constexpr size_t kColumns = 32;
  static constexpr size_t kBytes = 34;
  static constexpr Minima kMinima = Minima::kNone;
  static constexpr size_t kMinimumColumns = 32;

  static HWY_INLINE void unpack(const std::byte* block, int16_t* values, float* scales,
                                float* /*minima*/) {
    const hn::Rebind<int8_t, Sub> d8;
    scales[0] = half_at(block);
    for (size_t i = 0; i < kColumns; i += hn::Lanes(Sub())) {
      const auto bytes = hn::LoadU(d8, reinterpret_cast<const int8_t*>(block + 2 + i));
      hn::Store(hn::PromoteTo(Sub(), bytes), Sub(), values + i);
    }
  }
};

// Block = scale f16, [minimum f16], [32 fifth bits], 16 bytes whose low nibbles are values 0–15 and
// whose high ones 16–31. Without a minimum values are centred.
template <int kBits, bool kHasMinimum>
struct Legacy {
  static constexpr size_t kFifthBits = kHasMinimum ? 4 : 2;
  static constexpr size_t kNibbles = kFifthBits + (kBits == 5 ? 4 : 0);

  static constexpr size_t kColumns = 32;
  static constexpr size_t kBytes = kNibbles + 16;
  static constexpr Minima kMinima = kHasMinimum ? Minima::kPer32 : Minima::kNone;
  static constexpr size_t kMinimumColumns = 32;

  static HWY_INLINE void unpack(const std::byte* block, int16_t* values, float* scales,
                                float* minima) {
    const auto centre = hn::Set(Sub(), kHasMinimum ? 0 : 1 << (kBits - 1));
    scales[0] = half_at(block);
    if constexpr (kHasMinimum) minima[0] = half_at(block + 2);
    const uint32_t fifth = kBits == 5 ? load<uint32_t>(block + kFifthBits) : 0;
    for (size_t i = 0; i < 16; i += hn::Lanes(Sub())) {
      const Integers both = load_bytes_as_integers(block + kNibbles + i);
      Integers low = hn::And(both, hn::Set(Sub(), 15));
      Integers high = hn::ShiftRight<4>(both);
      if constexpr (kBits == 5) {
        low = hn::Or(low, expand_bits(fifth >> i, 16));
        high = hn::Or(high, expand_bits(fifth >> (16 + i), 16));
      }
      hn::Store(hn::Sub(low, centre), Sub(), values + i);
      hn::Store(hn::Sub(high, centre), Sub(), values + 16 + i);
    }
  }
};

void fill_matmul_legacy(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kQ4_0)] = matmul_quantised<Legacy<4, false>>;
  kernels.matmul[slot(DType::kQ4_1)] = matmul_quantised<Legacy<4, true>>;
  kernels.matmul[slot(DType::kQ5_0)] = matmul_quantised<Legacy<5, false>>;
  kernels.matmul[slot(DType::kQ5_1)] = matmul_quantised<Legacy<5, true>>;
  kernels.matmul[slot(DType::kQ8_0)] = matmul_quantised<Q8_0>;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_matmul_legacy);
void simd::set_matmul_legacy(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_matmul_legacy), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
