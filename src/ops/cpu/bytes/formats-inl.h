// What the formats have in common: a weight is (byte − the format's centre) × its scale + its
// minimum. A format is a struct of kColumns and kBytes of its blocks, kCentre, kLargest (of its
// bytes), kScales, kMinima, and
//   static Bytes bytes<kHalf, kBlock>(const std::byte* at): 32 columns
//   static Scales scales<Isa, kHalf>(const std::byte* at): of four times as many
// where block kBlock is one of the group kHalf (0, or 1 of formats with blocks of 256 columns) of
// the blocks at hand. The formats are described in scalar/dequantise.cpp and dequantise_k.cpp.
#pragma once

#include "ops/cpu/bytes/vectors-inl.h"
#include "ops/cpu/half.h"
#include "ops/cpu/order.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

// Of a group's four blocks. `high` is that of a block's second 16 columns; unused where there is
// only one per 32.
struct Scales {
  Floats4 low;
  Floats4 high;
  Floats4 minima_low;
  Floats4 minima_high;
};

template <class Format>
inline constexpr size_t kStepColumns = Format::kColumns == 256 ? 256 : kGroupColumns;
template <class Format>
inline constexpr size_t kStepBytes = kStepColumns<Format> / Format::kColumns* Format::kBytes;

// Two blocks of 32 columns out of 16 or 32 bytes of nibbles.
HWY_INLINE Bytes low_nibbles(Bytes both) {
  return both & 15;
}
HWY_INLINE Bytes high_nibbles(Bytes both) {
  return both >> 4;
}

// Bit kFrom of every byte comes to bit kTo, the others become zero.
template <int kFrom, int kTo>
HWY_INLINE Bytes move_bit(Bytes bytes) {
  constexpr uint8_t kMask = 1U << kTo;
  if constexpr (kFrom > kTo) {
    return bytes >> (kFrom - kTo) & kMask;
  } else {
    return bytes << (kTo - kFrom) & kMask;
  }
}

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
