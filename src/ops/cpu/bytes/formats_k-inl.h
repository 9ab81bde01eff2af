// The K formats: blocks of 256 values, two groups each.
#pragma once

#include "ops/cpu/bytes/formats-inl.h"
#include "ops/cpu/k_scales.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

// The scales of blocks' halves: eight signed bytes, times an f16.
template <class Byte>
HWY_INLINE Scales signed_scales(const Byte* eight, float factor) {
  const Floats all = to_floats(even_then_odd(ints_at<SignedBytes8>(eight))) * all_floats(factor);
  Scales result = {};
  result.low = lower(all);
  result.high = upper(all);
  return result;
}

// Block kBlock of a group that keeps two bits a value: 32 bytes, blocks at bits 0, 2, 4, 6.
template <size_t kBlock>
HWY_INLINE Bytes two_bits(const std::byte* at) {
  return load_vector<Bytes>(at) >> (2 * kBlock) & 3;
}

struct KFormat {
  static constexpr size_t kColumns = 256;
};

struct Q2_K : KFormat {
  static constexpr size_t kBytes = 84;
  static constexpr int kCentre = 0;
  static constexpr int kLargest = 3;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::k16;

  template <size_t kHalf, size_t kBlock>
  static HWY_INLINE Bytes bytes(const std::byte* at) {
    return two_bits<kBlock>(at + 16 + 32 * kHalf);
  }
  template <class Isa, size_t kHalf>
  static HWY_INLINE Scales scales(const std::byte* at) {
    const Ints both = even_then_odd(ints_at<Bytes8>(at + 8 * kHalf));
    const Floats scales = to_floats(both & 15) * all_floats(Isa::half_at(at + 80));
    const Floats minima = to_floats(both >> 4) * all_floats(-Isa::half_at(at + 82));
    return {lower(scales), upper(scales), lower(minima), upper(minima)};
  }
};

struct Q3_K : KFormat {
  static constexpr size_t kBytes = 110;
  static constexpr int kCentre = 4;
  static constexpr int kLargest = 7;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::kNone;

  template <size_t kHalf, size_t kBlock>
  static HWY_INLINE Bytes bytes(const std::byte* at) {
    return two_bits<kBlock>(at + 32 + 32 * kHalf) |
           move_bit<4 * kHalf + kBlock, 2>(load_vector<Bytes>(at));
  }
  template <class Isa, size_t kHalf>
  static HWY_INLINE Scales scales(const std::byte* at) {
    const auto all = unpack_q3_scales(at + 96);
    return signed_scales(all.data() + 8 * kHalf, Isa::half_at(at + 108));
  }
};

template <bool kFive>
struct Q45_K : KFormat {
  static constexpr size_t kBytes = kFive ? 176 : 144;
  static constexpr int kCentre = 0;
  static constexpr int kLargest = kFive ? 31 : 15;
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = Per::k32;

  template <size_t kHalf, size_t kBlock>
  static HWY_INLINE Bytes bytes(const std::byte* at) {
    const std::byte* nibbles = at + 16 + (kFive ? 32 : 0) + 64 * kHalf + 32 * (kBlock / 2);
    const auto both = load_vector<Bytes>(nibbles);
    Bytes q = kBlock % 2 == 0 ? low_nibbles(both) : high_nibbles(both);
    if constexpr (kFive) q |= move_bit<4 * kHalf + kBlock, 4>(load_vector<Bytes>(at + 16));
    return q;
  }
  template <class Isa, size_t kHalf>
  static HWY_INLINE Scales scales(const std::byte* at) {
    const ScalesAndMins sub = unpack_scales_and_mins(at + 4);
    const auto four = [](const std::array<uint8_t, 8>& of) {
      const Ints all = ints_at<Bytes8>(of.data());
      return to_floats(kHalf == 0 ? lower(all) : upper(all));
    };
    Scales result = {};
    result.low = four(sub.scales) * four_floats(Isa::half_at(at));
    result.minima_low = four(sub.mins) * four_floats(-Isa::half_at(at + 2));
    return result;
  }
};

struct Q6_K : KFormat {
  static constexpr size_t kBytes = 210;
  static constexpr int kCentre = 32;
  static constexpr int kLargest = 63;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::kNone;

  template <size_t kHalf, size_t kBlock>
  static HWY_INLINE Bytes bytes(const std::byte* at) {
    const auto both = load_vector<Bytes>(at + 64 * kHalf + 32 * (kBlock % 2));
    return (kBlock < 2 ? low_nibbles(both) : high_nibbles(both)) |
           two_bits<kBlock>(at + 128 + 32 * kHalf) << 4;
  }
  template <class Isa, size_t kHalf>
  static HWY_INLINE Scales scales(const std::byte* at) {
    return signed_scales(at + 192 + 8 * kHalf, Isa::half_at(at + 208));
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
