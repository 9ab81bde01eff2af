#ifdef __clang__
#define SPILLWAY_BYTES_TARGET "dotprod,i8mm"
#else
#define SPILLWAY_BYTES_TARGET "arch=armv8.2-a+dotprod+i8mm"
#endif
#include "ops/cpu/arm/isa_dot.h"
// After it:
#include "ops/cpu/arm/kernels.h"
#include "ops/cpu/bytes/matmul-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

// Several tokens by FEAT_I8MM: products of two rows with two tokens, eight columns at once.
struct NeonI8mm : NeonDot {
  // [column / 8][row][column % 8].
  static HWY_INLINE void store_block(const Bytes (&rows)[8], std::byte* to) {
    for (size_t r = 0; r < 8; ++r) {
      for (size_t eight = 0; eight < 4; ++eight)
        std::memcpy(to + eight * 64 + r * 8,
                    reinterpret_cast<const std::byte*>(&rows[r]) + eight * 8, 8);
    }
  }

  template <class Format, size_t kTokens>
  static HWY_INLINE void dots(const std::byte* weights, const int8_t* x, size_t stride,
                              Ints (&sums)[2][kTokens]) {
    HWY_UNROLL(2)
    for (size_t t = 0; t < kTokens; t += 2) {
      const size_t second = HWY_MIN(t + 1, kTokens - 1);  // of one token: itself, for nothing
      add_two(weights, x + t * stride, x + second * stride, sums[0][t], sums[0][second], 0);
      Ints(&last)[kTokens] = sums[Format::kScales == Per::k16 ? 1 : 0];
      add_two(weights, x + t * stride, x + second * stride, last[t], last[second], 1);
    }
  }

 private:
  // The products of 16 columns with two tokens.
  static HWY_INLINE void add_two(const std::byte* weights, const int8_t* x, const int8_t* second_x,
                                 Ints& sums, Ints& second_sums, size_t half) {
    const auto* w = reinterpret_cast<const int8_t*>(weights) + 128 * half;
    int32x4_t two_rows[4];  // row 0 with both tokens, then row 1
    for (int32x4_t& dots : two_rows) dots = vdupq_n_s32(0);
    HWY_UNROLL(2)
    for (size_t eight = 0; eight < 2; ++eight, w += 64) {
      const size_t column = 16 * half + 8 * eight;
      const int8x16_t input = vcombine_s8(vld1_s8(x + column), vld1_s8(second_x + column));
      HWY_UNROLL(4)
      for (size_t pair = 0; pair < 4; ++pair)
        two_rows[pair] = vmmlaq_s32(two_rows[pair], vld1q_s8(w + 16 * pair), input);
    }
    const Ints first =
        join(vuzp1q_s32(two_rows[0], two_rows[1]), vuzp1q_s32(two_rows[2], two_rows[3]));
    const Ints second =
        join(vuzp2q_s32(two_rows[0], two_rows[1]), vuzp2q_s32(two_rows[2], two_rows[3]));
    sums += first;
    if (&sums != &second_sums) second_sums += second;
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES

namespace spillway::ops::cpu::arm {

void set_matmul_i8mm(CpuKernels& kernels) {
  bytes::set_matmul<bytes::NeonI8mm>(kernels);
}

}  // namespace spillway::ops::cpu::arm
