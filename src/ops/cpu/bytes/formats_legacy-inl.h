// The formats with blocks of 32 values, which begin with their scale and minimum as f16.
#pragma once

#include "ops/cpu/bytes/formats-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

template <class Isa, size_t kBytes>
HWY_INLINE Floats4 halves_of_blocks(const std::byte* at) {
  return Floats4{Isa::half_at(at), Isa::half_at(at + kBytes), Isa::half_at(at + 2 * kBytes),
                 Isa::half_at(at + 3 * kBytes)};
}

// Bit i of `bits` in byte i, as 16 or 0.
HWY_INLINE Bytes spread_bits(uint32_t bits) {
  const auto all = reinterpret_cast<Bytes>(all_ints(static_cast<int32_t>(bits)));
  // Byte i becomes byte i / 8 of the bits.
  const Bytes spread =
      __builtin_shufflevector(all, all, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                              18, 18, 18, 18, 18, 18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19);
  const Bytes bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128,
                     1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  return reinterpret_cast<Bytes>((spread & bit) == bit) & 16;
}

// Q4_0 … Q5_1: [scale f16][minimum f16][fifth bits][16 bytes: low nibbles, high nibbles].
template <int kBits, bool kHasMinimum>
struct Legacy {
  static constexpr size_t kFifthBits = kHasMinimum ? 4 : 2;
  static constexpr size_t kNibbles = kFifthBits + (kBits == 5 ? 4 : 0);

  static constexpr size_t kColumns = 32;
  static constexpr size_t kBytes = kNibbles + 16;
  static constexpr int kCentre = kHasMinimum ? 0 : 1 << (kBits - 1);
  static constexpr int kLargest = (1 << kBits) - 1;
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = kHasMinimum ? Per::k32 : Per::kNone;

  template <size_t /*kHalf*/, size_t kBlock>
  static HWY_INLINE Bytes bytes(const std::byte* at) {
    const std::byte* block = at + kBlock * kBytes;
    const auto both = load_vector<Bytes16>(block + kNibbles);
    Bytes q = join(both & 15, both >> 4);
    if constexpr (kBits == 5) {
      uint32_t fifth = 0;
      std::memcpy(&fifth, block + kFifthBits, sizeof(fifth));
      q |= spread_bits(fifth);
    }
    return q;
  }
  template <class Isa, size_t /*kHalf*/>
  static HWY_INLINE Scales scales(const std::byte* at) {
    Scales result = {};
    result.low = halves_of_blocks<Isa, kBytes>(at);
    if constexpr (kHasMinimum) result.minima_low = halves_of_blocks<Isa, kBytes>(at + 2);
    return result;
  }
};

// Signed bytes become bytes centred at 128.
struct Q8_0 {
  static constexpr size_t kColumns = 32;
  static constexpr size_t kBytes = 34;
  static constexpr int kCentre = 128;
  static constexpr int kLargest = 255;
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = Per::kNone;

  template <size_t /*kHalf*/, size_t kBlock>
  static HWY_INLINE Bytes bytes(const std::byte* at) {
    return load_vector<Bytes>(at + kBlock * kBytes + 2) ^ 0x80;
  }
  template <class Isa, size_t /*kHalf*/>
  static HWY_INLINE Scales scales(const std::byte* at) {
    Scales result = {};
    result.low = halves_of_blocks<Isa, kBytes>(at);
    return result;
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
