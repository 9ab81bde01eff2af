// IQ1, IQ2, IQ3: groups of values are entries of a codebook. A scale that goes with fewer than 32
// columns is multiplied into the integers.
#include <algorithm>
#include <array>
#include <bit>

#include "ops/cpu/half.h"
#include "ops/cpu/scalar/grids.h"
#include "ops/cpu/scalar/unpack_codes.h"

namespace spillway::ops::cpu::scalar {
namespace {

constexpr size_t kScales = 8;                             // of a block
constexpr std::array<int, 4> kIq1Levels = {-8, 0, 8, 0};  // eighths
constexpr std::array<int, 4> kIq2Levels = {8, 25, 43, 0};
constexpr std::array<int, 8> kIq3XxsLevels = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::array<int, 8> kIq3SLevels = {1, 3, 5, 7, 9, 11, 13, 15};

unsigned byte_at(const std::byte* at) {
  return std::to_integer<unsigned>(*at);
}

// Number i of those that take four bits each, low nibbles first.
unsigned nibble(const std::byte* bytes, size_t i) {
  return byte_at(bytes + i / 2) >> (i % 2 * 4) & 15;
}

int odd(unsigned i) {
  return static_cast<int>(2 * i + 1);
}

// Seven signs are kept; the eighth makes the number of minus signs even.
unsigned eight_signs(unsigned seven) {
  seven &= 127;
  return seven | static_cast<unsigned>(std::popcount(seven) & 1) << 7;
}

// Bit i of `signs` set: value i is negative.
void put_iq2(unsigned entry, unsigned signs, int scale, int16_t* values) {
  for (unsigned i = 0; i < 8; ++i) {
    const int value = scale * kIq2Levels[entry >> 2 * i & 3];
    values[i] = static_cast<int16_t>((signs >> i & 1) != 0 ? -value : value);
  }
}

void put_iq3(unsigned entry, const std::array<int, 8>& levels, unsigned signs, int16_t* values) {
  for (unsigned i = 0; i < 4; ++i) {
    const int value = levels[entry >> 4 * i & 7];
    values[i] = static_cast<int16_t>((signs >> i & 1) != 0 ? -value : value);
  }
}

// `delta` is −1 or 1, an eighth of a step.
void put_iq1(unsigned entry, int delta, int scale, int16_t* values) {
  for (unsigned i = 0; i < 8; ++i) {
    values[i] = static_cast<int16_t>(scale * (kIq1Levels[entry >> 2 * i & 3] + delta));
  }
}

}  // namespace

// Scale f16, 32 bytes of entries (low eight bits), eight times uint16: 4 × 3 upper bits of the
// entries, three bits of scale, the delta's sign.
void IQ1_S::unpack(const std::byte* block, int16_t* values, float* scales) {
  std::fill_n(scales, kScales, f16_at(block) / 8);
  for (size_t entry = 0; entry < 32; ++entry) {
    const unsigned high = load<uint16_t>(block + 34 + entry / 4 * 2);
    const unsigned index = byte_at(block + 2 + entry) | (high >> 3 * (entry % 4) & 7) << 8;
    put_iq1(kIq1SGrid[index], (high & 0x8000) != 0 ? -1 : 1, odd(high >> 12 & 7),
            values + 8 * entry);
  }
}

// 32 bytes of entries (low eight bits), 32 nibbles: three upper bits and the delta's sign, four
// times uint16: 4 × 3 bits of scale, and four bits of the f16 scale on top.
void IQ1_M::unpack(const std::byte* block, int16_t* values, float* scales) {
  std::array<unsigned, 4> packed;
  unsigned half = 0;
  for (size_t i = 0; i < 4; ++i) {
    packed[i] = load<uint16_t>(block + 48 + 2 * i);
    half |= packed[i] >> 12 << 4 * i;
  }
  std::fill_n(scales, kScales, f16_to_f32(static_cast<uint16_t>(half)) / 8);
  for (size_t entry = 0; entry < 32; ++entry) {
    const unsigned high = nibble(block + 32, entry);
    const unsigned sub = packed[entry / 8] >> 3 * (entry / 2 % 4) & 7;
    put_iq1(kIq1SGrid[byte_at(block + entry) | (high & 7) << 8], (high & 8) != 0 ? -1 : 1, odd(sub),
            values + 8 * entry);
  }
}

// Scale f16, eight times: four bytes of entries, uint32 of 4 × 7 signs and four bits of scale.
void IQ2_XXS::unpack(const std::byte* block, int16_t* values, float* scales) {
  for (size_t sub = 0; sub < 8; ++sub) {
    const std::byte* group = block + 2 + 8 * sub;
    const auto packed = load<uint32_t>(group + 4);
    scales[sub] = f16_at(block) * static_cast<float>(odd(packed >> 28)) / 8;
    for (size_t i = 0; i < 4; ++i) {
      put_iq2(kIq2XxsGrid[byte_at(group + i)], eight_signs(packed >> 7 * i), 1,
              values + 32 * sub + 8 * i);
    }
  }
}

// Scale f16, 32 times uint16: nine bits of entry, seven signs; 16 nibbles of scales.
void IQ2_XS::unpack(const std::byte* block, int16_t* values, float* scales) {
  std::fill_n(scales, kScales, f16_at(block) / 8);
  for (size_t entry = 0; entry < 32; ++entry) {
    const unsigned packed = load<uint16_t>(block + 2 + 2 * entry);
    put_iq2(kIq2XsGrid[packed & 511], eight_signs(packed >> 9), odd(nibble(block + 66, entry / 2)),
            values + 8 * entry);
  }
}

// Scale f16, 32 bytes of entries (low eight bits), 32 of signs, eight of 4 × 2 upper bits, 16
// nibbles of scales.
void IQ2_S::unpack(const std::byte* block, int16_t* values, float* scales) {
  std::fill_n(scales, kScales, f16_at(block) / 8);
  for (size_t entry = 0; entry < 32; ++entry) {
    const unsigned high = byte_at(block + 66 + entry / 4) >> 2 * (entry % 4) & 3;
    put_iq2(kIq2SGrid[byte_at(block + 2 + entry) | high << 8], byte_at(block + 34 + entry),
            odd(nibble(block + 74, entry / 2)), values + 8 * entry);
  }
}

// Scale f16, 64 bytes of entries, eight times uint32: 4 × 7 signs and four bits of scale.
void IQ3_XXS::unpack(const std::byte* block, int16_t* values, float* scales) {
  for (size_t sub = 0; sub < 8; ++sub) {
    const auto packed = load<uint32_t>(block + 66 + 4 * sub);
    scales[sub] = f16_at(block) * static_cast<float>(odd(packed >> 28)) / 4;
    for (size_t i = 0; i < 8; ++i) {
      const unsigned signs = eight_signs(packed >> 7 * (i / 2)) >> 4 * (i % 2);
      put_iq3(kIq3XxsGrid[byte_at(block + 2 + 8 * sub + i)], kIq3XxsLevels, signs,
              values + 32 * sub + 4 * i);
    }
  }
}

// Scale f16, 64 bytes of entries (low eight bits), eight of their ninth bits, 32 of signs, eight
// nibbles of scales.
void IQ3_S::unpack(const std::byte* block, int16_t* values, float* scales) {
  for (size_t sub = 0; sub < 8; ++sub) {
    scales[sub] = f16_at(block) * static_cast<float>(odd(nibble(block + 106, sub)));
    for (size_t entry = 8 * sub; entry < 8 * sub + 8; ++entry) {
      const unsigned high = byte_at(block + 66 + sub) >> entry % 8 & 1;
      const unsigned signs = byte_at(block + 74 + entry / 2) >> 4 * (entry % 2);
      put_iq3(kIq3SGrid[byte_at(block + 2 + entry) | high << 8], kIq3SLevels, signs,
              values + 4 * entry);
    }
  }
}

}  // namespace spillway::ops::cpu::scalar
