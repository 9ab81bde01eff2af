// Products with interleaved rows: with one token, and unpacked for several.
#pragma once

#include "ops/cpu/avx512/interleaved_formats.h"
#include "ops/cpu/avx512/panel.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

// Of the one stream that the rows are, as measured (docs/decisions/interleaved-rows.md): AMD's
// Zen 5 follows a stream by itself, but not through a K format's block, of which several places are
// read in turn; Intel's processors reach their rate by both calls alone, which must not lie more
// than 2 KiB apart. A K format's block has up to 3,360 bytes, of which the last are read with the
// first.
template <class Format>
HWY_INLINE Ahead stream_ahead() {
  if (!__builtin_cpu_is("amd")) return {.far = 9216, .near = 7168};
  return Format::kColumns == 256 ? Ahead{.far = 8192, .near = 4096} : Ahead{.near = 4096};
}

// Bytes of 32 columns of 16 rows.
template <class Format>
inline constexpr size_t kBlockBytes = Interleaved<Format>::kGroupBytes /
                                      (Format::kColumns / kScaleColumns);

// Four of a token's values, for all rows.
HWY_INLINE __m512i four_values(const int8_t* from) {
  int32_t four = 0;
  std::memcpy(&four, from, sizeof(four));
  return _mm512_set1_epi32(four);
}

// What the centre contributes to the products of 32 columns, negated, or to those of 16 of them.
template <class Format>
HWY_INLINE __m512i centre_of(const Token& token, size_t block, int first, int second) {
  int32_t totals = 0;
  std::memcpy(&totals, token.totals16 + 2 * block, sizeof(totals));
  const auto negated = [](int times) { return static_cast<uint16_t>(-Format::kCentre * times); };
  const auto factors = static_cast<int32_t>(negated(first) | uint32_t{negated(second)} << 16);
  return _mm512_dpwssd_epi32(_mm512_setzero_si512(), _mm512_set1_epi32(factors),
                             _mm512_set1_epi32(totals));
}

// Integer products of 16 columns, from 4 × kQuad on, and of the 16 behind them; calls in a quarter
// of what 32 columns take, number kCalled of them.
template <class Format, size_t kBlock, size_t kCalled, size_t kQuad>
HWY_INLINE void add_quads(const std::byte* at, const int8_t* values, const Calls& calls,
                          __m512i& low, __m512i& high) {
  using Form = Interleaved<Format>;
  constexpr size_t kFrom = kCalled * kBlockBytes<Format> + kQuad * kBlockBytes<Format> / 4;
  constexpr size_t kEnd = kCalled * kBlockBytes<Format> + (kQuad + 1) * kBlockBytes<Format> / 4;
  prefetch<kFrom, kEnd>(calls);
  low = _mm512_dpbusd_epi32(low, Form::template quad<kBlock, kQuad>(at),
                            four_values(values + 4 * kQuad));
  high = _mm512_dpbusd_epi32(high, Form::template quad<kBlock, kQuad + 4>(at),
                             four_values(values + 4 * kQuad + 16));
  if constexpr (kQuad < 3)
    add_quads<Format, kBlock, kCalled, kQuad + 1>(at, values, calls, low, high);
}

// Adds the products of 32 columns of 16 rows: number kBlock of the format's block at `at`, `block`
// of the token.
template <class Format, size_t kBlock, size_t kCalled = 0>
HWY_INLINE __m512 add_block(const std::byte* at, const Token& token, size_t block, __m512 sums,
                            const Calls& calls = {}) {
  static_assert(Format::kMinima != Per::k16);
  const Scales scales = Interleaved<Format>::template scales<kBlock>(at);
  if constexpr (Format::kMinima == Per::k32)
    sums = _mm512_fmadd_ps(scales.minima_low, _mm512_set1_ps(token.sums32[block]), sums);
  constexpr bool kHalves = Format::kScales == Per::k16;
  __m512i low = _mm512_setzero_si512();
  __m512i high = low;
  if constexpr (Format::kCentre != 0) {
    low = centre_of<Format>(token, block, 1, kHalves ? 0 : 1);
    if constexpr (kHalves) high = centre_of<Format>(token, block, 0, 1);
  }
  const int8_t* values = token.values + block * kScaleColumns;
  add_quads<Format, kBlock, kCalled, 0>(at, values, calls, low, high);
  __m512 products;
  if constexpr (kHalves) {
    products = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), scales.high,
                               _mm512_mul_ps(_mm512_cvtepi32_ps(low), scales.low));
  } else {
    products = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(low, high)), scales.low);
  }
  return _mm512_fmadd_ps(products, _mm512_set1_ps(token.scales[block]), sums);
}

// Likewise of 32 columns kBlock up to kEnd; those of the token are from `block` on. They are blocks
// of the format, or all of one of its blocks.
template <class Format, size_t kBlock, size_t kEnd>
HWY_INLINE void add_blocks(const std::byte* at, const Calls& calls, const Token& token,
                           size_t block, __m512 (&sums)[4]) {
  constexpr size_t kBytes = kBlockBytes<Format>;
  constexpr bool kOwn = Format::kColumns == kScaleColumns;
  constexpr size_t kWithin = kOwn ? 0 : kBlock;
  const std::byte* from = kOwn ? at + kBlock * kBytes : at;
  __m512& sum = sums[kBlock % 4];
  sum = add_block<Format, kWithin, kBlock>(from, token, block + kBlock, sum, calls);
  if constexpr (kBlock + 1 < kEnd)
    add_blocks<Format, kBlock + 1, kEnd>(at, calls, token, block, sums);
}

// One tile of 16 rows, at `at`, which moves on. Indices of sums are constants, so that they are
// registers.
template <class Format>
HWY_INLINE __m512 multiply_interleaved_tile(const std::byte*& at, const Token& token, size_t block,
                                            size_t end) {
  constexpr size_t kStep = Format::kColumns == 256 ? 8 : 4;
  constexpr size_t kBytes = kBlockBytes<Format>;
  const Ahead ahead = stream_ahead<Format>();
  __m512 sums[4];
  sums[0] = sums[1] = sums[2] = sums[3] = _mm512_setzero_ps();
  for (; block + kStep <= end; block += kStep, at += kStep * kBytes)
    add_blocks<Format, 0, kStep>(at, calls_from(at, ahead), token, block, sums);
  if constexpr (Format::kColumns != 256) {
    const size_t rest = end - block;
    if (rest > 0) sums[0] = add_block<Format, 0>(at, token, block, sums[0]);
    if (rest > 1) sums[1] = add_block<Format, 0>(at + kBytes, token, block + 1, sums[1]);
    if (rest > 2) sums[2] = add_block<Format, 0>(at + 2 * kBytes, token, block + 2, sums[2]);
    at += rest * kBytes;
  }
  return _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
}

// Whole groups of rows.
template <class Format>
void multiply_token_interleaved(const MatmulTask& task, size_t row, size_t end_row) {
  const size_t blocks = task.weight.columns / kScaleColumns;
  const Token token = prepared_token(task.input.quantised, 0, task.weight.columns);
  const std::byte* at =
      task.weight.data + row * (task.weight.columns / Format::kColumns * Format::kBytes);
  for (; row < end_row; row += kInterleavedRows) {
    __m512 total = _mm512_setzero_ps();
    for (size_t first = 0; first < blocks; first += kTileBlocks) {
      const __m512 tile = multiply_interleaved_tile<Format>(at, token, first,
                                                            std::min(blocks, first + kTileBlocks));
      total = first == 0 ? tile : _mm512_add_ps(total, tile);
    }
    _mm512_storeu_ps(task.y + row, total);
  }
}

template <class Format, bool kCentred, size_t kBlock, size_t kQuad>
HWY_INLINE void unpack_quads(const std::byte* at, size_t block, Panel& panel) {
  const __m512i four = Interleaved<Format>::template quad<kBlock, kQuad>(at);
  _mm512_store_si512(panel.values[block][kQuad][0], less_centre<Format, kCentred>(four));
  if constexpr (kQuad < 7) unpack_quads<Format, kCentred, kBlock, kQuad + 1>(at, block, panel);
}

// Blocks of a format from kBlock on; of the panel from `block` on.
template <class Format, bool kCentred, size_t kBlock>
HWY_INLINE void unpack_blocks(const std::byte* at, size_t block, Panel& panel) {
  unpack_quads<Format, kCentred, kBlock, 0>(at, block + kBlock, panel);
  const Scales scales = Interleaved<Format>::template scales<kBlock>(at);
  _mm512_store_ps(panel.scales[block + kBlock][0], scales.low);
  if constexpr (Format::kScales == Per::k16)
    _mm512_store_ps(panel.scales[block + kBlock][1], scales.high);
  if constexpr (Format::kMinima != Per::kNone)
    _mm512_store_ps(panel.minima[block + kBlock][0], scales.minima_low);
  if constexpr ((kBlock + 1) * kScaleColumns < Format::kColumns)
    unpack_blocks<Format, kCentred, kBlock + 1>(at, block, panel);
}

// A group's columns of one tile. Blocks behind the last of them are as they were: what is made of
// them is not used.
template <class Format, bool kCentred>
void unpack_interleaved(const Part& part, Panel& panel) {
  constexpr size_t kBytes = Interleaved<Format>::kGroupBytes;
  const std::byte* at = part.weight.data +
                        part.row * (part.weight.columns / Format::kColumns * Format::kBytes) +
                        part.first_column / Format::kColumns * kBytes;
  const size_t blocks = part.columns / kScaleColumns;
  for (size_t block = 0; block < blocks; block += Format::kColumns / kScaleColumns, at += kBytes)
    unpack_blocks<Format, kCentred, 0>(at, block, panel);
}

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
