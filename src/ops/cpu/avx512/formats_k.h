// Groups of the K formats: blocks of 256 values, two groups each. They are described in
// scalar/dequantise_k.cpp.
#pragma once

#include "ops/cpu/avx512/group.h"
#include "ops/cpu/half.h"
#include "ops/cpu/k_scales.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

HWY_INLINE __m512i bytes_of(int low_half, int high_half) {
  return _mm512_inserti64x4(_mm512_set1_epi8(static_cast<char>(low_half)),
                            _mm256_set1_epi8(static_cast<char>(high_half)), 1);
}

// 32 bytes, twice.
HWY_INLINE __m512i twice_32(const std::byte* from) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(from)));
}

// Shift counts of the 16-bit lanes of the two halves.
HWY_INLINE __m512i counts(short low_half, short high_half) {
  return _mm512_inserti64x4(_mm512_set1_epi16(low_half), _mm256_set1_epi16(high_half), 1);
}

// Blocks 0, 1 and 2, 3 of a group in their natural order, into halves.
HWY_INLINE Bytes halves(__m512i first, __m512i second) {
  return {_mm512_shuffle_i64x2(first, second, 0x88), _mm512_shuffle_i64x2(first, second, 0xDD)};
}

// The f16 at `offset` of four rows, for lanes 4 × block + row.
HWY_INLINE __m512 halves_at(const Rows& rows, size_t offset) {
  const auto half = [&](int row) {
    return static_cast<short>(load<uint16_t>(rows.at[row] + offset));
  };
  const __m128i all = _mm_set_epi16(0, 0, 0, 0, half(3), half(2), half(1), half(0));
  return _mm512_broadcast_f32x4(_mm_cvtph_ps(all));
}

HWY_INLINE __m512 times(__m512i integers, __m512 factor) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(integers), factor);
}

HWY_INLINE __m512i join(__m128i first, __m128i second, __m128i third, __m128i fourth) {
  __m512i all = _mm512_zextsi128_si512(first);
  all = _mm512_inserti32x4(all, second, 1);
  all = _mm512_inserti32x4(all, third, 2);
  return _mm512_inserti32x4(all, fourth, 3);
}

// 16 bytes of each row, a quarter each.
HWY_INLINE __m512i load_quarters(const Rows& rows, size_t offset) {
  const auto load = [&](int row) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(rows.at[row] + offset));
  };
  return join(load(0), load(1), load(2), load(3));
}

// Four bytes from `offset` of each row's quarter, for lanes 4 × block + row.
template <int kOffset>
HWY_INLINE __m512i bytes_by_block(__m512i rows) {
  const __m512i widen = _mm512_add_epi32(
      _mm512_set1_epi32(static_cast<int>(0x80808000U)),
      _mm512_broadcast_i32x4(_mm_setr_epi32(kOffset, kOffset + 1, kOffset + 2, kOffset + 3)));
  const __m512i transpose = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(transpose, _mm512_shuffle_epi8(rows, widen));
}

// The f16 at 2 × kIndex of each row's quarter, for lanes 4 × block + row.
template <short kIndex>
HWY_INLINE __m512 halves_by_row(__m512i rows) {
  const __m512i index = _mm512_broadcast_i32x4(_mm_setr_epi16(
      kIndex, 8 + kIndex, 16 + kIndex, 24 + kIndex, kIndex, 8 + kIndex, 16 + kIndex, 24 + kIndex));
  return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi16(index, rows)));
}

// Quarters of 16 bytes a row, those of the sub-blocks of two groups, as the four vectors of (group,
// half of a block): byte 4 × block + row of result[2 × group + half].
HWY_INLINE __m512i sub_blocks_by_row(__m512i all) {
  const __m512i even_odd =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
  const __m512i row = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i block =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  all = _mm512_permutexvar_epi32(row, _mm512_shuffle_epi8(all, even_odd));
  return _mm512_shuffle_epi8(all, block);
}

// The lanes of one half of a group's blocks, out of sub_blocks_by_row.
HWY_INLINE __m128i sub_block(__m512i all, size_t group, size_t half) {
  const size_t index = 2 * group + half;
  if (index == 0) return _mm512_castsi512_si128(all);
  if (index == 1) return _mm512_extracti32x4_epi32(all, 1);
  if (index == 2) return _mm512_extracti32x4_epi32(all, 2);
  return _mm512_extracti32x4_epi32(all, 3);
}

// Blocks 0 and 1, and 2 and 3 of a group, each in its natural order.
struct InOrder {
  __m512i first;
  __m512i second;
};

// 128 values of two bits: 32 bytes hold four blocks at bits 0, 2, 4, 6.
HWY_INLINE InOrder two_bits(const std::byte* from) {
  const __m512i all = twice_32(from);
  const __m512i mask = _mm512_set1_epi8(3);
  return {_mm512_and_si512(_mm512_srlv_epi16(all, counts(0, 2)), mask),
          _mm512_and_si512(_mm512_srlv_epi16(all, counts(4, 6)), mask)};
}

struct KFormat {
  static constexpr size_t kColumns = 256;
};

// A format with a scale per 16 columns, whose quarters of a vector are what a scale belongs to: the
// product with one token takes them in_order().
template <class Format>
struct SubBlockFormat : KFormat {
  static HWY_INLINE Bytes bytes(const std::byte* block, size_t group, size_t /*blocks*/) {
    const InOrder q = Format::in_order(block, group);
    return halves(q.first, q.second);
  }
};

struct Q2_K : SubBlockFormat<Q2_K> {
  static constexpr size_t kBytes = 84;
  static constexpr int kCentre = 0;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::k16;

  static HWY_INLINE Scales scales(const Rows& rows, size_t group, size_t /*blocks*/) {
    const __m512i all = sub_blocks_by_row(load_quarters(rows, 0));
    const __m512 scale = halves_at(rows, 80);
    const __m512 minimum = _mm512_sub_ps(_mm512_setzero_ps(), halves_at(rows, 82));
    const __m512i low = _mm512_cvtepu8_epi32(sub_block(all, group, 0));
    const __m512i high = _mm512_cvtepu8_epi32(sub_block(all, group, 1));
    const __m512i nibble = _mm512_set1_epi32(15);
    return {times(_mm512_and_si512(low, nibble), scale),
            times(_mm512_and_si512(high, nibble), scale), times(_mm512_srli_epi32(low, 4), minimum),
            times(_mm512_srli_epi32(high, 4), minimum)};
  }
  static HWY_INLINE InOrder in_order(const std::byte* block, size_t group) {
    return two_bits(block + 16 + 32 * group);
  }
};

// Scales that are signed bytes, times an f16.
HWY_INLINE Scales signed_scales(__m512i rows, size_t group, __m512 factor) {
  const __m512i all = sub_blocks_by_row(rows);
  const auto scale = [&](size_t half) {
    const __m512i integers = _mm512_cvtepi8_epi32(sub_block(all, group, half));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(integers), factor);
  };
  return {scale(0), scale(1), _mm512_setzero_ps(), _mm512_setzero_ps()};
}

struct Q3_K : SubBlockFormat<Q3_K> {
  static constexpr size_t kBytes = 110;
  static constexpr int kCentre = 4;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::kNone;

  static HWY_INLINE Scales scales(const Rows& rows, size_t group, size_t /*blocks*/) {
    const auto scales = [&](int row) {
      const auto unpacked = unpack_q3_scales(rows.at[row] + 96);
      return _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(unpacked.data()));
    };
    const __m512i all = join(scales(0), scales(1), scales(2), scales(3));
    return signed_scales(all, group, halves_at(rows, 108));
  }
  static HWY_INLINE InOrder in_order(const std::byte* block, size_t group) {
    const __m512i third = twice_32(block);
    const __m512i four = _mm512_set1_epi8(4);
    const InOrder q = two_bits(block + 32 + 32 * group);
    const int bit = 1 << (4 * group);
    const __mmask64 first = _mm512_test_epi8_mask(third, bytes_of(bit, bit << 1));
    const __mmask64 second = _mm512_test_epi8_mask(third, bytes_of(bit << 2, bit << 3));
    return {_mm512_mask_add_epi8(q.first, first, q.first, four),
            _mm512_mask_add_epi8(q.second, second, q.second, four)};
  }
};

template <bool kFive>
struct Q45_K : KFormat {
  static constexpr size_t kBytes = kFive ? 176 : 144;
  static constexpr int kCentre = 0;
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = Per::k32;

  // As unpack_scales_and_mins of k_scales.h, for four rows at once: a quarter is a row's scale and
  // minimum (f16) and its 12 packed bytes.
  static HWY_INLINE Scales scales(const Rows& rows, size_t group, size_t /*blocks*/) {
    const __m512i headers = load_quarters(rows, 0);
    __m512i six_bits;  // 32-bit lane 1 of a quarter: the group's scales, lane 2: its minima
    if (group == 0) {
      six_bits = _mm512_and_si512(headers, _mm512_set1_epi8(0x3F));
    } else {
      const __m512i last = _mm512_shuffle_epi32(headers, _MM_PERM_DDDD);
      const __m512i shifts = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0, 4, 0));
      const __m512i low = _mm512_and_si512(_mm512_srlv_epi32(last, shifts), _mm512_set1_epi8(15));
      const __m512i upper = _mm512_and_si512(_mm512_srli_epi32(headers, 2), _mm512_set1_epi8(0x30));
      six_bits = _mm512_or_si512(low, upper);
    }
    Scales result;
    result.low = result.high = times(bytes_by_block<4>(six_bits), halves_by_row<0>(headers));
    result.minima_low = result.minima_high = times(
        bytes_by_block<8>(six_bits), _mm512_sub_ps(_mm512_setzero_ps(), halves_by_row<1>(headers)));
    return result;
  }

  // 64 bytes: blocks 0 and 2 in the low nibbles, 1 and 3 in the high ones.
  static HWY_INLINE Bytes bytes(const std::byte* block, size_t group, size_t /*blocks*/) {
    const __m512i both = _mm512_loadu_si512(block + 16 + (kFive ? 32 : 0) + 64 * group);
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i even = _mm512_and_si512(both, mask);
    __m512i odd = high_nibbles(both);
    if constexpr (kFive) {
      const __m512i fifth_bits = twice_32(block + 16);
      const int bit = 1 << (4 * group);
      const __m512i fifth = _mm512_set1_epi8(16);
      const __mmask64 e = _mm512_test_epi8_mask(fifth_bits, bytes_of(bit, bit << 2));
      const __mmask64 o = _mm512_test_epi8_mask(fifth_bits, bytes_of(bit << 1, bit << 3));
      even = _mm512_mask_add_epi8(even, e, even, fifth);
      odd = _mm512_mask_add_epi8(odd, o, odd, fifth);
    }
    const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    const __m512i high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    return {_mm512_permutex2var_epi64(even, low, odd), _mm512_permutex2var_epi64(even, high, odd)};
  }

  // With the halves of blocks 1 and 3 exchanged, a group's nibbles come to their places faster.
  static constexpr bool kCrossed = !kFive;
  static HWY_INLINE Bytes crossed(const std::byte* block, size_t group) {
    const std::byte* from = block + 16 + 64 * group;
    const __m512i nibbles = _mm512_set_epi64(kHighNibble, kHighNibble, kLowNibble, kLowNibble,
                                             kHighNibble, kHighNibble, kLowNibble, kLowNibble);
    const __m512i both = _mm512_loadu_si512(from);
    const __m512i exchanged = _mm512_permutex_epi64(both, 0x4E);  // halves of 32 bytes
    return {move_bits(both, nibbles), move_bits(exchanged, nibbles)};
  }
};

struct Q6_K : SubBlockFormat<Q6_K> {
  static constexpr size_t kBytes = 210;
  static constexpr int kCentre = 32;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::kNone;

  static HWY_INLINE Scales scales(const Rows& rows, size_t group, size_t /*blocks*/) {
    return signed_scales(load_quarters(rows, 192), group, halves_at(rows, 208));
  }
  static HWY_INLINE InOrder in_order(const std::byte* block, size_t group) {
    const __m512i low = _mm512_loadu_si512(block + 64 * group);
    const __m512i high = twice_32(block + 128 + 32 * group);
    // Each half of `high` is two blocks' bits.
    const auto upper = [&](int low_half, int high_half) {
      const long long a = bit_matrix(low_half, 4, 2);
      const long long b = bit_matrix(high_half, 4, 2);
      return move_bits(high, _mm512_set_epi64(b, b, b, b, a, a, a, a));
    };
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i first = _mm512_or_si512(_mm512_and_si512(low, nibble), upper(0, 2));
    const __m512i second = _mm512_or_si512(high_nibbles(low), upper(4, 6));
    return {first, second};
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
