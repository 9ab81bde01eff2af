#include "ops/interleaved.h"

#include "ops/cpu/avx512/kernels.h"
#include "ops/cpu/avx512/panel.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

static_assert(kInterleavedRows == 16);
constexpr size_t kWordsAtOnce = 16;

// At most 16 words of each row.
HWY_INLINE void interleave_some(const std::byte* rows, size_t row_bytes, size_t words,
                                std::byte* to) {
  const __mmask16 lanes = first_lanes(words);
  __m512i v[4][4];  // [rows / 4][row, then word % 4]
  HWY_UNROLL(4)
  for (size_t four = 0; four < 4; ++four) {
    HWY_UNROLL(4)
    for (size_t r = 0; r < 4; ++r)
      v[four][r] = _mm512_maskz_loadu_epi32(lanes, rows + (4 * four + r) * row_bytes);
    transpose_lanes(v[four]);
  }
  alignas(64) float columns[kWordsAtOnce][kInterleavedRows];
  HWY_UNROLL(4)
  for (size_t i = 0; i < 4; ++i) {
    store_pieces({_mm512_castsi512_ps(v[0][i]), _mm512_castsi512_ps(v[1][i]),
                  _mm512_castsi512_ps(v[2][i]), _mm512_castsi512_ps(v[3][i])},
                 columns[i], 4 * kInterleavedRows);
  }
  for (size_t i = 0; i < words; ++i)
    _mm512_storeu_ps(to + i * sizeof(columns[0]), _mm512_load_ps(columns[i]));
}

void interleave_words_avx512(const std::byte* rows, size_t row_bytes, size_t words, std::byte* to) {
  for (size_t done = 0; done < words; done += kWordsAtOnce) {
    interleave_some(rows + done * sizeof(uint32_t), row_bytes, std::min(kWordsAtOnce, words - done),
                    to + done * sizeof(uint32_t) * kInterleavedRows);
  }
}

}  // namespace

void set_interleave(CpuKernels& kernels) {
  kernels.interleave_words = interleave_words_avx512;
}

}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
