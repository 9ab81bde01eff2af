#include "ops/packed.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "ops/packed_layout.h"

namespace spillway::ops {
namespace {

constexpr uint64_t kMostElements = uint64_t{1} << 32;  // where escapes overflow to is a uint32_t
constexpr size_t kSampledBlocks = 256;                 // to find the commonest exponents
constexpr uint32_t kEscapeStep = 32;                   // of escape_bytes: a sector of GPU memory

using Block = std::array<uint16_t, kPackedBlock>;
using Bytes = std::array<uint8_t, kPackedBlock>;
using Words = std::array<uint32_t, kPackedLanes>;

uint8_t exponent_of(uint16_t value) {
  return static_cast<uint8_t>(value >> 7);
}

// `padding` is past the end.
const uint16_t* block_at(std::span<const uint16_t> weight, uint64_t block, uint16_t padding,
                         Block& buffer) {
  const uint64_t first = block * kPackedBlock;
  if (weight.size() - first >= kPackedBlock) return weight.data() + first;
  buffer.fill(padding);
  std::ranges::copy(weight.subspan(first), buffer.begin());
  return buffer.data();
}

// Loops below are such that compilers turn them into vector code.

void find_codes(const uint16_t* block, const std::array<uint8_t, 8>& exponents, Bytes& codes) {
  for (size_t i = 0; i < kPackedBlock; ++i) codes[i] = exponent_of(block[i]);
  for (size_t i = 0; i < kPackedBlock; ++i) {
    const uint8_t exponent = codes[i];
    uint8_t code = kPackedEscape;
    for (uint8_t c = 0; c < kPackedEscape; ++c) {
      code = exponent == exponents[c] ? c : code;
    }
    codes[i] = code;
  }
}

void write_signs_and_mantissas(const uint16_t* block, std::byte* to) {
  auto* bytes = reinterpret_cast<uint8_t*>(to);
  for (size_t i = 0; i < kPackedBlock; ++i) {
    bytes[i] = static_cast<uint8_t>((block[i] >> 8 & 0x80) | (block[i] & 0x7F));
  }
}

// The lowest bits of 8 bytes as one, the first byte's lowest.
uint32_t lowest_bits(uint64_t bytes) {
  return static_cast<uint32_t>((bytes & 0x0101010101010101U) * 0x0102040810204080U >> 56);
}

void find_planes(const Bytes& codes, std::array<Words, kPackedPlanes>& planes) {
  for (uint32_t lane = 0; lane < kPackedLanes; ++lane) {
    std::array<uint64_t, 4> eights;
    for (uint32_t n = 0; n < 4; ++n) {
      std::memcpy(&eights[n], codes.data() + packed_element(lane, 8 * n), sizeof(uint64_t));
    }
    for (uint32_t p = 0; p < kPackedPlanes; ++p) {
      uint32_t word = 0;
      for (uint32_t n = 0; n < 4; ++n) word |= lowest_bits(eights[n] >> p) << 8 * n;
      planes[p][lane] = word;
    }
  }
}

// Calls each(element) for those that escape, in their order.
template <typename Each>
void for_escapes(const std::array<Words, kPackedPlanes>& planes, const Each& each) {
  for (uint32_t lane = 0; lane < kPackedLanes; ++lane) {
    uint32_t left = planes[0][lane] & planes[1][lane] & planes[2][lane];
    for (; left != 0; left &= left - 1) {
      each(packed_element(lane, static_cast<uint32_t>(std::countr_zero(left))));
    }
  }
}

std::array<uint8_t, 8> commonest_exponents(std::span<const uint16_t> weight) {
  std::array<uint32_t, 256> counts = {};
  const uint64_t blocks = packed_blocks(weight.size());
  const uint64_t step = std::max<uint64_t>(blocks / kSampledBlocks, 1);
  for (uint64_t block = 0; block < blocks; block += step) {
    const uint64_t first = block * kPackedBlock;
    for (const uint16_t value :
         weight.subspan(first, std::min<uint64_t>(kPackedBlock, weight.size() - first))) {
      ++counts[exponent_of(value)];
    }
  }
  std::array<uint8_t, 256> order;
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](uint8_t a, uint8_t b) { return counts[a] > counts[b]; });
  std::array<uint8_t, 8> exponents = {};
  std::copy_n(order.begin(), kPackedEscape, exponents.begin());
  return exponents;
}

// By a block's number of escapes: how many blocks have it.
std::vector<uint64_t> count_escapes(std::span<const uint16_t> weight, const PackedForm& form) {
  std::vector<uint64_t> blocks_with(kPackedBlock + 1);
  const auto padding = static_cast<uint16_t>(form.exponents[0] << 7);
  Block buffer;
  Bytes codes;
  for (uint64_t block = 0; block < packed_blocks(weight.size()); ++block) {
    find_codes(block_at(weight, block, padding, buffer), form.exponents, codes);
    uint32_t count = 0;
    for (const uint8_t code : codes) count += code == kPackedEscape ? 1 : 0;
    ++blocks_with[count];
  }
  return blocks_with;
}

uint64_t overflow_bytes(const std::vector<uint64_t>& blocks_with, uint32_t escape_bytes) {
  uint64_t bytes = 0;
  for (size_t count = escape_bytes + 1; count < blocks_with.size(); ++count) {
    bytes += count * blocks_with[count];
  }
  return bytes;
}

// One block's way back. `escapes`: all that it has.
void unpack_block(const PackedForm& form, const std::byte* block, const std::byte* overflow,
                  Block& to) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(block);
  std::array<Words, kPackedPlanes> planes;
  std::memcpy(planes.data(), bytes + kPackedBlock, sizeof planes);
  for (uint32_t lane = 0; lane < kPackedLanes; ++lane) {
    for (uint32_t bit = 0; bit < 32; ++bit) {
      uint32_t code = 0;
      for (uint32_t p = 0; p < kPackedPlanes; ++p) code |= (planes[p][lane] >> bit & 1) << p;
      const uint32_t element = packed_element(lane, bit);
      const uint32_t rest = bytes[element];
      to[element] = static_cast<uint16_t>((rest & 0x80) << 8 | uint32_t{form.exponents[code]} << 7 |
                                          (rest & 0x7F));
    }
  }
  uint32_t count = 0;
  for_escapes(planes, [&](uint32_t) { ++count; });
  const uint8_t* escapes = bytes + kPackedFixedBytes;
  if (count > form.escape_bytes) {
    uint32_t at = 0;
    std::memcpy(&at, escapes, sizeof at);
    SPILLWAY_CHECK(at <= form.overflow_bytes && count <= form.overflow_bytes - at);
    escapes = reinterpret_cast<const uint8_t*>(overflow) + at;
  }
  for_escapes(planes, [&](uint32_t element) {
    to[element] = static_cast<uint16_t>(to[element] | *escapes++ << 7);
  });
}

// Where the escapes of the next block that has too many go.
struct Overflow {
  std::span<std::byte> bytes;
  size_t used = 0;
};

// False: there are more escapes than were counted.
bool write_escapes(const uint16_t* block, const std::array<Words, kPackedPlanes>& planes,
                   std::span<std::byte> inside, Overflow& overflow) {
  std::array<uint8_t, kPackedBlock> escapes;
  size_t count = 0;
  for_escapes(planes, [&](uint32_t element) { escapes[count++] = exponent_of(block[element]); });
  if (count <= inside.size()) {
    std::memcpy(inside.data(), escapes.data(), count);
    std::ranges::fill(inside.subspan(count), std::byte{0});
    return true;
  }
  if (count > overflow.bytes.size() - overflow.used) return false;
  const auto at = static_cast<uint32_t>(overflow.used);
  std::ranges::fill(inside, std::byte{0});
  std::memcpy(inside.data(), &at, sizeof at);
  std::memcpy(overflow.bytes.data() + at, escapes.data(), count);
  overflow.used += count;
  return true;
}

}  // namespace

uint64_t PackedForm::block_bytes() const {
  return kPackedFixedBytes + escape_bytes;
}

uint64_t PackedForm::blocks_bytes() const {
  return prefix_bytes(elements);
}

uint64_t PackedForm::bytes() const {
  return blocks_bytes() + overflow_bytes;
}

uint64_t PackedForm::prefix_bytes(uint64_t count) const {
  return packed_blocks(count) * block_bytes();
}

PackedForm find_packed_form(std::span<const uint16_t> weight) {
  SPILLWAY_CHECK(weight.size() <= kMostElements);
  PackedForm best;
  best.elements = weight.size();
  best.exponents = commonest_exponents(weight);
  const std::vector<uint64_t> blocks_with = count_escapes(weight, best);
  PackedForm form = best;
  for (uint32_t bytes = kEscapeStep; bytes <= kMostEscapeBytes; bytes += kEscapeStep) {
    form.escape_bytes = bytes;
    form.overflow_bytes = overflow_bytes(blocks_with, bytes);
    if (best.escape_bytes == 0 || form.bytes() < best.bytes()) best = form;
  }
  return best;
}

bool pack(std::span<const uint16_t> weight, const PackedForm& form, std::span<std::byte> to) {
  SPILLWAY_CHECK(weight.size() == form.elements && to.size() == form.bytes());
  const auto padding = static_cast<uint16_t>(form.exponents[0] << 7);
  Overflow overflow{to.subspan(form.blocks_bytes())};
  Block buffer;
  Bytes codes;
  std::array<Words, kPackedPlanes> planes;
  for (uint64_t block = 0; block < packed_blocks(weight.size()); ++block) {
    // A copy: what others write meanwhile must not be seen differently from one line to the next.
    const uint16_t* values = block_at(weight, block, padding, buffer);
    if (values != buffer.data()) std::copy_n(values, kPackedBlock, buffer.begin());
    std::byte* bytes = to.data() + block * form.block_bytes();
    write_signs_and_mantissas(buffer.data(), bytes);
    find_codes(buffer.data(), form.exponents, codes);
    find_planes(codes, planes);
    std::memcpy(bytes + kPackedBlock, planes.data(), sizeof planes);
    if (!write_escapes(buffer.data(), planes, {bytes + kPackedFixedBytes, form.escape_bytes},
                       overflow)) {
      return false;
    }
  }
  return true;
}

void unpack_blocks(const PackedForm& form, const std::byte* blocks, const std::byte* overflow,
                   std::span<uint16_t> to) {
  Block buffer;
  for (uint64_t block = 0; block < packed_blocks(to.size()); ++block) {
    unpack_block(form, blocks + block * form.block_bytes(), overflow, buffer);
    const uint64_t first = block * kPackedBlock;
    const uint64_t count = std::min<uint64_t>(kPackedBlock, to.size() - first);
    std::copy_n(buffer.begin(), count, to.begin() + static_cast<ptrdiff_t>(first));
  }
}

}  // namespace spillway::ops
