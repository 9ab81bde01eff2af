// Products of 8-bit integers on instruction sets with vectors of 256 bits, or pairs of 128: the
// kernels of this folder are written once, in the compiler's own vector types, for an `Isa` that
// has what those types lack (avx2/, arm/; Highway 1.0.3 has no products of bytes). Included by the
// one file per instruction set that defines SPILLWAY_BYTES_TARGET first; everything is local to it.
//
// An Isa is a struct of
//   bool is_signed(int centre): whether weights of formats with this centre are taken less their
//     centre, as signed bytes, or as they are
//   Floats fma(Floats a, Floats b, Floats c), and of Floats4: a × b + c, rounded once
//   float half_at(const std::byte*): an f16
//   Ints block_dots<Format>(Bytes weights, Bytes input): of 32 columns, the first 16 in the lower
//     four lanes, the others in the upper four, in sums of any columns
//   Ints sums_of_lanes(const Ints (&v)[4]): lane i is the sum of v[i]'s lower four lanes, lane
//     4 + i that of the upper four
//   void store_block(const Bytes (&rows)[8], std::byte* to): 32 columns of eight rows, for
//   void dots<Format, kTokens>(const std::byte* weights, const int8_t* x, size_t stride,
//                              Ints (&sums)[2][kTokens]): adds the products of those rows (lanes)
//     with tokens whose values lie `stride` apart; sums[1] is of the second 16 columns if the
//     format has scales for them, else unused
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/base.h"
#include "ops/cpu/kernels.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

using Bytes [[gnu::vector_size(32)]] = uint8_t;
using Ints [[gnu::vector_size(32)]] = int32_t;
using Floats [[gnu::vector_size(32)]] = float;
using Bytes16 [[gnu::vector_size(16)]] = uint8_t;
using Bytes8 [[gnu::vector_size(8)]] = uint8_t;
using SignedBytes8 [[gnu::vector_size(8)]] = int8_t;
using Shorts8 [[gnu::vector_size(16)]] = int16_t;
using Ints4 [[gnu::vector_size(16)]] = int32_t;
using Floats4 [[gnu::vector_size(16)]] = float;

template <class Vector, class T>
HWY_INLINE Vector load_vector(const T* from) {
  Vector v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

template <class Vector, class T>
HWY_INLINE void store_vector(const Vector& v, T* to) {
  std::memcpy(to, &v, sizeof(v));
}

HWY_INLINE Bytes join(Bytes16 first, Bytes16 second) {
  return __builtin_shufflevector(first, second, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
                                 31);
}
HWY_INLINE Bytes all_bytes(int value) {
  return Bytes{} + static_cast<uint8_t>(value);
}
HWY_INLINE Ints all_ints(int32_t value) {
  return Ints{} + value;
}
HWY_INLINE Floats all_floats(float value) {
  return Floats{value, value, value, value, value, value, value, value};
}
HWY_INLINE Floats4 four_floats(float value) {
  return Floats4{value, value, value, value};
}

HWY_INLINE Floats to_floats(Ints v) {
  return __builtin_convertvector(v, Floats);
}
HWY_INLINE Floats4 to_floats(Ints4 v) {
  return __builtin_convertvector(v, Floats4);
}
// Eight numbers as lanes.
template <class Eight, class T>
HWY_INLINE Ints ints_at(const T* from) {
  return __builtin_convertvector(load_vector<Eight>(from), Ints);
}
// Lanes 0, 2, 4, 6, then 1, 3, 5, 7.
template <class Vector>
HWY_INLINE Vector even_then_odd(Vector v) {
  return __builtin_shufflevector(v, v, 0, 2, 4, 6, 1, 3, 5, 7);
}
HWY_INLINE Ints4 lower(Ints v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}
HWY_INLINE Ints4 upper(Ints v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
HWY_INLINE Floats4 lower(Floats v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}
HWY_INLINE Floats4 upper(Floats v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
