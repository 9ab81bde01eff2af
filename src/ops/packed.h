// bfloat16 weights in fewer bytes, without loss, for links that are slower than a decoder
// (packed_layout.h). The CPU packs; the GPU unpacks (unpack.h), or the CPU where there is none.
// Every bit pattern comes back as it was. Pure functions; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace spillway::ops {

// Of one weight: what unpacking must know beside its bytes.
struct PackedForm {
  uint64_t elements = 0;
  std::array<uint8_t, 8> exponents = {};  // by code; the last is 0 and means nothing
  uint32_t escape_bytes = 0;              // that a block has room for
  uint64_t overflow_bytes = 0;            // after the blocks

  uint64_t block_bytes() const;
  uint64_t blocks_bytes() const;  // of all blocks: where the overflow begins
  uint64_t bytes() const;
  // That the first `count` elements lie in, without overflow.
  uint64_t prefix_bytes(uint64_t count) const;
};

// The form in which the weight takes the fewest bytes; more than it has, where it does not pack.
// Looks at all of it. At most 2^32 elements.
PackedForm find_packed_form(std::span<const uint16_t> weight);

// `to`: form.bytes(), 4-byte aligned. False: the weight is not the one that the form was found for
// (somebody writes it), and `to` means nothing.
bool pack(std::span<const uint16_t> weight, const PackedForm& form, std::span<std::byte> to);

// The first to.size() elements of what was packed. `blocks` and `overflow` as packed_layout.h has
// them; in what pack() writes, the second follows the first.
void unpack_blocks(const PackedForm& form, const std::byte* blocks, const std::byte* overflow,
                   std::span<uint16_t> to);

}  // namespace spillway::ops
