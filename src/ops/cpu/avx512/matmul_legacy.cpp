// The formats with blocks of 32 values, which begin with their scale and minimum as f16.
#include "ops/cpu/avx512/kernels.h"
#include "ops/cpu/avx512/matmul.h"
#include "ops/cpu/half.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

HWY_INLINE __m512 f16_in_low_halves(__m512i lanes) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(lanes));
}

// Scales, and minima if there are any, of `count` blocks kBytes apart; zeros up to a whole 16.
template <size_t kBytes, bool kHasMinimum>
HWY_INLINE void unpack_headers(const std::byte* blocks, size_t count, float* scales,
                               float* minima) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i offsets = _mm512_mullo_epi32(lane, _mm512_set1_epi32(kBytes));
  for (size_t i = 0; i < count; i += 16) {
    const __m512i headers = _mm512_mask_i32gather_epi32(
        _mm512_setzero_si512(), first_lanes(count - i), offsets, blocks + i * kBytes, 1);
    _mm512_store_ps(scales + i, f16_in_low_halves(headers));
    if constexpr (kHasMinimum)
      _mm512_store_ps(minima + i, f16_in_low_halves(_mm512_srli_epi32(headers, 16)));
  }
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

  static HWY_INLINE void unpack_group(const std::byte* block, size_t blocks,
                                      uint8_t (&out)[2][64]) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i both = load_pieces<kBytes>(block + kNibbles, blocks);
    __m512i low = _mm512_and_si512(both, nibble);
    __m512i high = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
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
    _mm512_store_si512(out[0], low);
    _mm512_store_si512(out[1], high);
  }
};

struct Q8_0 {
  static constexpr size_t kColumns = 32;
  static constexpr size_t kBytes = 34;
  static constexpr int kCentre = 128;
  static constexpr Per kScales = Per::k32;
  static constexpr Per kMinima = Per::kNone;

  // Two blocks, or one and zeros.
  static HWY_INLINE __m512i load_two(const std::byte* block, size_t blocks) {
    if (blocks == 0) return _mm512_setzero_si512();
    const auto* first = reinterpret_cast<const __m256i_u*>(block + 2);
    const __m512i one = _mm512_zextsi256_si512(_mm256_loadu_si256(first));
    if (blocks == 1) return one;
    const auto* second = reinterpret_cast<const __m256i_u*>(block + kBytes + 2);
    return _mm512_inserti64x4(one, _mm256_loadu_si256(second), 1);
  }

  static HWY_INLINE void unpack_group(const std::byte* block, size_t blocks,
                                      uint8_t (&out)[2][64]) {
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));  // signed to centred at 128
    const __m512i first = load_two(block, std::min<size_t>(blocks, 2));
    const __m512i second = load_two(block + 2 * kBytes, blocks - std::min<size_t>(blocks, 2));
    const __m512i low = _mm512_shuffle_i64x2(first, second, 0x88);
    const __m512i high = _mm512_shuffle_i64x2(first, second, 0xDD);
    _mm512_store_si512(out[0], _mm512_xor_si512(low, sign));
    _mm512_store_si512(out[1], _mm512_xor_si512(high, sign));
  }
};

template <class Block>
struct Blocks : Block {
  static HWY_INLINE void unpack(const std::byte* data, size_t blocks, UnpackedRow& row) {
    constexpr bool kHasMinimum = Block::kMinima != Per::kNone;
    alignas(64) float scales[kTileColumns / kScaleColumns];
    unpack_headers<Block::kBytes, kHasMinimum>(data, blocks, scales, row.minima);
    for (size_t b = 0, group = 0; b < blocks; b += kGroupBlocks, ++group) {
      const std::byte* block = data + b * Block::kBytes;
      if (blocks - b >= kGroupBlocks) {  // a constant count lets the compiler drop the tests on it
        Block::unpack_group(block, kGroupBlocks, row.values[group]);
      } else {
        Block::unpack_group(block, blocks - b, row.values[group]);
      }
      _mm512_store_ps(row.scales[group][0], four_times_four(_mm_load_ps(scales + b)));
    }
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES

namespace spillway::ops::cpu::avx512 {

void set_matmul_legacy(CpuKernels& kernels) {
  kernels.matmul[slot(DType::kQ4_0)] = matmul<Blocks<Legacy<4, false>>>;
  kernels.matmul[slot(DType::kQ4_1)] = matmul<Blocks<Legacy<4, true>>>;
  kernels.matmul[slot(DType::kQ5_0)] = matmul<Blocks<Legacy<5, false>>>;
  kernels.matmul[slot(DType::kQ5_1)] = matmul<Blocks<Legacy<5, true>>>;
  kernels.matmul[slot(DType::kQ8_0)] = matmul<Blocks<Q8_0>>;
}

}  // namespace spillway::ops::cpu::avx512
