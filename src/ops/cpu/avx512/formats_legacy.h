// Groups of the formats with blocks of 32 values, which begin with their scale and minimum as f16.
#pragma once

#include <array>

#include "ops/cpu/avx512/group.h"
#include "ops/cpu/half.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

// The first four bytes of each block of a group of four rows: lane 4 × block + row.
template <size_t kBytes>
HWY_INLINE __m512i load_headers(const Rows& rows, size_t blocks) {
  const auto distance = [&](int row) { return static_cast<int>(rows.at[row] - rows.at[0]); };
  const __m128i starts = _mm_set_epi32(distance(3), distance(2), distance(1), 0);
  const __m512i block = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  const __m512i offsets = _mm512_add_epi32(_mm512_broadcast_i32x4(starts),
                                           _mm512_mullo_epi32(block, _mm512_set1_epi32(kBytes)));
  return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), first_lanes(4 * blocks), offsets,
                                     rows.at[0], 1);
}

HWY_INLINE __m512 f16_in_low_halves(__m512i lanes) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(lanes));
}

// What load_headers gives of a whole group, for blocks whose four headers 64 bytes hold.
template <size_t kBytes>
HWY_INLINE __m512i permute_headers(const Rows& rows) {
  static_assert(kBytes % 4 == 0 && 3 * kBytes + 4 <= 64);
  const __m512i index =
      _mm512_mullo_epi32(_mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0),
                         _mm512_set1_epi32(kBytes / 4));
  __m512i headers = _mm512_permutexvar_epi32(index, _mm512_loadu_si512(rows.at[0]));
  headers = _mm512_mask_permutexvar_epi32(headers, 0x2222, index, _mm512_loadu_si512(rows.at[1]));
  headers = _mm512_mask_permutexvar_epi32(headers, 0x4444, index, _mm512_loadu_si512(rows.at[2]));
  return _mm512_mask_permutexvar_epi32(headers, 0x8888, index, _mm512_loadu_si512(rows.at[3]));
}

// The first f16 of each block of a whole group, for lanes 4 × block + row. A row's 64 bytes are
// loaded so far ahead of it that its f16 fall between those of the rows before it.
template <size_t kBytes>
HWY_INLINE __m256i load_first_halves(const Rows& rows) {
  constexpr bool kOneLoad = 3 * kBytes + 8 <= 64;  // of all four blocks, else of two
  constexpr size_t kLoads = kOneLoad ? 1 : 2;
  constexpr size_t kBlocks = 4 / kLoads;
  constexpr size_t kWords = kBytes / 2;
  static_assert(kBytes % 2 == 0 && kWords >= 4 * kLoads &&
                (kBlocks - 1) * kWords + 4 * kLoads <= 32);
  alignas(64) static constexpr auto kIndex = [] {
    std::array<uint16_t, 32> index = {};
    for (size_t lane = 0; lane < 16; ++lane) {
      const size_t block = lane / 4;
      index[lane] =
          static_cast<uint16_t>(block % kBlocks * kWords + block / kBlocks * 4 + lane % 4);
    }
    return index;
  }();
  constexpr uint32_t kFirst = [] {
    uint32_t words = 0;
    for (size_t b = 0; b < kBlocks; ++b) words |= 1U << (b * kWords);
    return words;
  }();
  __m512i words = _mm512_setzero_si512();
  HWY_UNROLL(8)
  for (size_t i = 0; i < 4 * kLoads; ++i) {
    const std::byte* from = rows.at[i % 4] + i / 4 * 2 * kBytes - 2 * i;
    words = _mm512_mask_loadu_epi16(words, kFirst << i, from);
  }
  return _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_load_si512(kIndex.data()), words));
}

template <class Format>
HWY_INLINE Scales load_scales(const Rows& rows, size_t blocks) {
  constexpr bool kHasMinimum = Format::kMinima != Per::kNone;
  Scales scales;
  scales.minima_low = scales.minima_high = _mm512_setzero_ps();
  if constexpr (!kHasMinimum) {
    if (blocks == kGroupBlocks) {
      scales.low = scales.high = _mm512_cvtph_ps(load_first_halves<Format::kBytes>(rows));
      return scales;
    }
  }
  __m512i headers;
  if constexpr (kHasMinimum && 3 * Format::kBytes + 4 <= 64) {
    headers = blocks == kGroupBlocks ? permute_headers<Format::kBytes>(rows)
                                     : load_headers<Format::kBytes>(rows, blocks);
  } else {
    headers = load_headers<Format::kBytes>(rows, blocks);
  }
  scales.low = scales.high = f16_in_low_halves(headers);
  if constexpr (kHasMinimum) scales.minima_low = f16_in_low_halves(_mm512_srli_epi32(headers, 16));
  return scales;
}

HWY_INLINE __m128i load_16(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(from));
}

// 16 bytes of each of up to four blocks; zeros for the others.
template <size_t kBytes>
HWY_INLINE __m512i load_pieces(const std::byte* first, size_t blocks) {
  __m512i all = _mm512_zextsi128_si512(load_16(first));
  if (blocks > 1) all = _mm512_inserti32x4(all, load_16(first + kBytes), 1);
  if (blocks > 2) all = _mm512_inserti32x4(all, load_16(first + 2 * kBytes), 2);
  if (blocks > 3) all = _mm512_inserti32x4(all, load_16(first + 3 * kBytes), 3);
  return all;
}

// 16 bytes at `kOffset` of each block of a whole group: the first block's as they lie, the others
// out of the group's last 64 bytes.
template <size_t kBytes, size_t kOffset>
HWY_INLINE __m512i load_whole_pieces(const std::byte* first) {
  constexpr size_t kLast = 4 * kBytes - 64;
  static_assert(kBytes % 2 == 0 && kOffset % 2 == 0 && kBytes + kOffset >= kLast);
  alignas(64) static constexpr auto kIndex = [] {
    std::array<uint16_t, 32> index = {};
    for (size_t word = 8; word < 32; ++word)
      index[word] = static_cast<uint16_t>((word / 8 * kBytes + kOffset - kLast) / 2 + word % 8);
    return index;
  }();
  return _mm512_mask_permutexvar_epi16(_mm512_zextsi128_si512(load_16(first + kOffset)), 0xFFFFFF00,
                                       _mm512_load_si512(kIndex.data()),
                                       _mm512_loadu_si512(first + kLast));
}

// Q4_0 … Q5_1: [scale f16][minimum f16][fifth bits][16 bytes: low nibbles, high nibbles].
template <int kBits, bool kHasMinimum>
struct Legacy {
  static constexpr size_t kFifthBits = kHasMinimum ? 4 : 2;
  static constexpr size_t kNibbles = kFifthBits + (kBits == 5 ? 4 : 0);

  static constexpr size_t kColumns = 32;
  static constexpr size_t kBytes = kNibbles + 16;
  static constexpr int kCentre = kHasMinimum ? 0 : 1 << (kBits - 1);
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = kHasMinimum ? Per::k32 : Per::kNone;

  static HWY_INLINE Bytes bytes(const std::byte* block, size_t /*half*/, size_t blocks) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i both = blocks == kGroupBlocks ? load_whole_pieces<kBytes, kNibbles>(block)
                                                : load_pieces<kBytes>(block + kNibbles, blocks);
    __m512i low = _mm512_and_si512(both, nibble);
    __m512i high = high_nibbles(both);
    if constexpr (kBits == 5) {
      uint64_t low_bits = 0;
      uint64_t high_bits = 0;
      for (size_t b = 0; b < blocks; ++b) {
        const uint64_t bits = load<uint32_t>(block + b * kBytes + kFifthBits);
        low_bits |= (bits & 0xFFFFU) << (16 * b);
        high_bits |= bits >> 16 << (16 * b);
      }
      const __m512i fifth = _mm512_set1_epi8(16);
      low = _mm512_mask_add_epi8(low, low_bits, low, fifth);
      high = _mm512_mask_add_epi8(high, high_bits, high, fifth);
    }
    return {low, high};
  }
  static HWY_INLINE Scales scales(const Rows& rows, size_t /*half*/, size_t blocks) {
    return load_scales<Legacy>(rows, blocks);
  }
};

struct Q8_0 {
  static constexpr size_t kColumns = 32;
  static constexpr size_t kBytes = 34;
  static constexpr int kCentre = 128;
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = Per::kNone;

  static HWY_INLINE Bytes bytes(const std::byte* block, size_t /*half*/, size_t blocks) {
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));  // signed to centred at 128
    if (blocks == kGroupBlocks) {
      const __m512i first = _mm512_xor_si512(load_two(block), sign);
      const __m512i second = _mm512_xor_si512(load_two(block + 2 * kBytes), sign);
      return {_mm512_shuffle_i64x2(first, second, 0x88), _mm512_shuffle_i64x2(first, second, 0xDD)};
    }
    return {_mm512_xor_si512(load_pieces<kBytes>(block + 2, blocks), sign),
            _mm512_xor_si512(load_pieces<kBytes>(block + 18, blocks), sign)};
  }
  static HWY_INLINE Scales scales(const Rows& rows, size_t /*half*/, size_t blocks) {
    return load_scales<Q8_0>(rows, blocks);
  }

 private:
  // The values of two blocks, one behind the other.
  static HWY_INLINE __m512i load_two(const std::byte* block) {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(block + 2));
    return _mm512_mask_loadu_epi64(_mm512_zextsi256_si512(first), 0xF0, block + 4);
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
