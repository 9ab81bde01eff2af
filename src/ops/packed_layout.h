// How packed bfloat16 weights lie in memory: the same on the CPU and in kernels. Constants; any
// thread.
//
// Few of the 256 exponents occur in weights, so that 3 bits say nearly all of them (an idea of
// DFloat11's, arXiv 2504.11651; its codes have variable lengths, these do not, so that a block is
// read as fast as memory gives it). Elements come in blocks of kPackedBlock, all of the same size
// in bytes:
//
//   sign and mantissa   uint8_t[kPackedBlock]             the element's sign, then its 7 bits
//   planes              uint32_t[3][kPackedLanes]         bit p of an element's code: in plane p
//   escapes             uint8_t[escape_bytes]             exponents that have no code
//
// Code c < 7 is the exponent that the weight's table has at c; 7 says that the exponent is among
// the escapes. Lane n has the elements 16n … 16n + 15 of the block's first half, in the low bits of
// its word of a plane, and those of the second half in the high bits. Escapes follow each other by
// lane and then by bit. Where a block has more than fit, it begins its escapes with a uint32_t:
// where all of them lie in the weight's overflow. What is past the last element counts as code 0
// and 0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spillway::ops {

inline constexpr uint32_t kPackedBlock = 4096;  // elements
inline constexpr uint32_t kPackedLanes = kPackedBlock / 32;
inline constexpr uint32_t kPackedHalf = kPackedBlock / 2;
inline constexpr uint32_t kPackedPlanes = 3;
inline constexpr uint32_t kPackedEscape = 7;  // the code
// Of a block, without its escapes: whole lines of 128 bytes.
inline constexpr uint32_t kPackedFixedBytes = kPackedBlock + kPackedPlanes * kPackedLanes * 4;
inline constexpr uint32_t kMostEscapeBytes = 512;  // a block; a multiple of 4

// In the block, of a bit of a lane's words.
constexpr uint32_t packed_element(uint32_t lane, uint32_t bit) {
  return bit / 16 * kPackedHalf + lane * 16 + bit % 16;
}

constexpr uint64_t packed_blocks(uint64_t elements) {
  return (elements + kPackedBlock - 1) / kPackedBlock;
}

}  // namespace spillway::ops
