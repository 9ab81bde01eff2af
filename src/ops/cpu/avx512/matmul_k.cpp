// The K formats: blocks of 256 values, two groups each. They are described in
// scalar/dequantise_k.cpp.
#include "ops/cpu/avx512/kernels.h"
#include "ops/cpu/avx512/matmul.h"
#include "ops/cpu/half.h"
#include "ops/cpu/k_scales.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

HWY_INLINE float half_at(const std::byte* at) {
  return _cvtsh_ss(load<uint16_t>(at));
}

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
HWY_INLINE void store_group(__m512i first, __m512i second, uint8_t (&out)[2][64]) {
  _mm512_store_si512(out[0], _mm512_shuffle_i64x2(first, second, 0x88));
  _mm512_store_si512(out[1], _mm512_shuffle_i64x2(first, second, 0xDD));
}

// Scales of the 16 sub-blocks of two groups: those of first halves are the even ones.
HWY_INLINE void store_scales_per_16(__m512 scales, float (*out)[2][16]) {
  const __m512i even = _mm512_set_epi32(6, 6, 6, 6, 4, 4, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0);
  for (int group = 0; group < 2; ++group) {
    const __m512i low = _mm512_add_epi32(even, _mm512_set1_epi32(8 * group));
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(1));
    _mm512_store_ps(out[group][0], _mm512_permutexvar_ps(low, scales));
    _mm512_store_ps(out[group][1], _mm512_permutexvar_ps(high, scales));
  }
}

// 128 values of two bits: 32 bytes hold four blocks at bits 0, 2, 4, 6.
struct TwoBits {
  __m512i first;   // blocks 0, 1
  __m512i second;  // 2, 3
};

HWY_INLINE TwoBits two_bits(const std::byte* from) {
  const __m512i all = twice_32(from);
  const __m512i mask = _mm512_set1_epi8(3);
  return {_mm512_and_si512(_mm512_srlv_epi16(all, counts(0, 2)), mask),
          _mm512_and_si512(_mm512_srlv_epi16(all, counts(4, 6)), mask)};
}

struct KFormat {
  static constexpr size_t kColumns = 256;
};

struct Q2_K : KFormat {
  static constexpr size_t kBytes = 84;
  static constexpr int kCentre = 0;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::k16;

  static HWY_INLINE void unpack_block(const std::byte* block, UnpackedRow& row, size_t group) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(block));
    const __m512i lanes = _mm512_cvtepu8_epi32(both);
    const __m512 scales = _mm512_cvtepi32_ps(_mm512_and_si512(lanes, _mm512_set1_epi32(15)));
    const __m512 minima = _mm512_cvtepi32_ps(_mm512_srli_epi32(lanes, 4));
    store_scales_per_16(_mm512_mul_ps(scales, _mm512_set1_ps(half_at(block + 80))),
                        row.scales + group);
    _mm512_store_ps(row.minima + group * 8,
                    _mm512_mul_ps(minima, _mm512_set1_ps(-half_at(block + 82))));
    for (size_t g = 0; g < 2; ++g) {
      const TwoBits q = two_bits(block + 16 + 32 * g);
      store_group(q.first, q.second, row.values[group + g]);
    }
  }
};

struct Q3_K : KFormat {
  static constexpr size_t kBytes = 110;
  static constexpr int kCentre = 4;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::kNone;

  static HWY_INLINE void unpack_block(const std::byte* block, UnpackedRow& row, size_t group) {
    const auto sub = unpack_q3_scales(block + 96);
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(sub.data()));
    const __m512 scales = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    store_scales_per_16(_mm512_mul_ps(scales, _mm512_set1_ps(half_at(block + 108))),
                        row.scales + group);
    const __m512i third = twice_32(block);
    const __m512i four = _mm512_set1_epi8(4);
    for (size_t g = 0; g < 2; ++g) {
      const TwoBits q = two_bits(block + 32 + 32 * g);
      const int bit = 1 << (4 * g);
      const __mmask64 first = _mm512_test_epi8_mask(third, bytes_of(bit, bit << 1));
      const __mmask64 second = _mm512_test_epi8_mask(third, bytes_of(bit << 2, bit << 3));
      store_group(_mm512_mask_add_epi8(q.first, first, q.first, four),
                  _mm512_mask_add_epi8(q.second, second, q.second, four), row.values[group + g]);
    }
  }
};

template <bool kFive>
struct Q45_K : KFormat {
  static constexpr size_t kBytes = kFive ? 176 : 144;
  static constexpr int kCentre = 0;
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = Per::k32;

  // 64 bytes: blocks 0 and 2 in the low nibbles, 1 and 3 in the high ones.
  static HWY_INLINE void unpack_group(const std::byte* nibbles, __m512i fifth_bits, int bit,
                                      uint8_t (&out)[2][64]) {
    const __m512i both = _mm512_loadu_si512(nibbles);
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i even = _mm512_and_si512(both, mask);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
    if constexpr (kFive) {
      const __m512i fifth = _mm512_set1_epi8(16);
      const __mmask64 e = _mm512_test_epi8_mask(fifth_bits, bytes_of(bit, bit << 2));
      const __mmask64 o = _mm512_test_epi8_mask(fifth_bits, bytes_of(bit << 1, bit << 3));
      even = _mm512_mask_add_epi8(even, e, even, fifth);
      odd = _mm512_mask_add_epi8(odd, o, odd, fifth);
    }
    const __m512i low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    const __m512i high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    _mm512_store_si512(out[0], _mm512_permutex2var_epi64(even, low, odd));
    _mm512_store_si512(out[1], _mm512_permutex2var_epi64(even, high, odd));
  }

  static HWY_INLINE __m256 eight_floats(const uint8_t* bytes, float scale) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(bytes));
    const __m256 floats = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight));
    return _mm256_mul_ps(floats, _mm256_set1_ps(scale));
  }

  static HWY_INLINE void unpack_block(const std::byte* block, UnpackedRow& row, size_t group) {
    const ScalesAndMins sub = unpack_scales_and_mins(block + 4);
    const __m256 scales = eight_floats(sub.scales.data(), half_at(block));
    _mm512_store_ps(row.scales[group][0], four_times_four(_mm256_castps256_ps128(scales)));
    _mm512_store_ps(row.scales[group + 1][0], four_times_four(_mm256_extractf128_ps(scales, 1)));
    // Eight floats: an odd number of blocks leaves the last eight of 16 to clear.
    const __m256 minima = eight_floats(sub.mins.data(), -half_at(block + 2));
    _mm512_storeu_ps(row.minima + group * 4, _mm512_zextps256_ps512(minima));
    const __m512i fifth_bits = kFive ? twice_32(block + 16) : _mm512_setzero_si512();
    const std::byte* nibbles = block + 16 + (kFive ? 32 : 0);
    unpack_group(nibbles, fifth_bits, 1, row.values[group]);
    unpack_group(nibbles + 64, fifth_bits, 16, row.values[group + 1]);
  }
};

struct Q6_K : KFormat {
  static constexpr size_t kBytes = 210;
  static constexpr int kCentre = 32;
  static constexpr Per kScales = Per::k16;
  static constexpr Per kMinima = Per::kNone;

  static HWY_INLINE void unpack_block(const std::byte* block, UnpackedRow& row, size_t group) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(block + 192));
    const __m512 scales = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    store_scales_per_16(_mm512_mul_ps(scales, _mm512_set1_ps(half_at(block + 208))),
                        row.scales + group);
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i upper = _mm512_set1_epi8(0x30);
    for (size_t g = 0; g < 2; ++g) {
      const __m512i low = _mm512_loadu_si512(block + 64 * g);
      const __m512i high = twice_32(block + 128 + 32 * g);
      const __m512i first_high = _mm512_sllv_epi16(high, counts(4, 2));
      const __m512i second_high = _mm512_srlv_epi16(high, counts(0, 2));
      const __m512i first =
          _mm512_or_si512(_mm512_and_si512(low, nibble), _mm512_and_si512(first_high, upper));
      const __m512i second = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(low, 4), nibble),
                                             _mm512_and_si512(second_high, upper));
      store_group(first, second, row.values[group + g]);
    }
  }
};

template <class Block>
struct Blocks : Block {
  static HWY_INLINE void unpack(const std::byte* data, size_t blocks32, UnpackedRow& row) {
    for (size_t group = 0; group < blocks32 / kGroupBlocks; group += 2, data += Block::kBytes)
      Block::unpack_block(data, row, group);
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES

namespace spillway::ops::cpu::avx512 {

void set_matmul_k(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kQ2_K)] = matmul<Blocks<Q2_K>>;
  kernels.matmul[slot(DType::kQ3_K)] = matmul<Blocks<Q3_K>>;
  kernels.matmul[slot(DType::kQ4_K)] = matmul<Blocks<Q45_K<false>>>;
  kernels.matmul[slot(DType::kQ5_K)] = matmul<Blocks<Q45_K<true>>>;
  kernels.matmul[slot(DType::kQ6_K)] = matmul<Blocks<Q6_K>>;
}

}  // namespace spillway::ops::cpu::avx512
