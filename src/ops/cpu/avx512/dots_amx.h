// Dot products of a panel with tokens by AMX: a tile product per block (or half of one) of 16 rows
// and up to 16 tokens. The process has asked the system for tile registers before.
#pragma once

#include "ops/cpu/avx512/multiply_tokens.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_AVX512_TARGET)
namespace spillway::ops::cpu::avx512 {
namespace {

// What LDTILECFG reads (Intel SDM, volume 1, 18.3).
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

class alignas(64) DotsAmx {
 public:
  DotsAmx() = default;
  ~DotsAmx() {
    if (tokens_ > 0) _tile_release();
  }
  DotsAmx(const DotsAmx&) = delete;
  DotsAmx& operator=(const DotsAmx&) = delete;

  static constexpr bool kCentred = true;

  // One format in the life of an object.
  template <class Format, size_t kTokens>
  HWY_INLINE void begin(const TokenTile<kTokens>&, size_t) {
    if (tokens_ == kTokens) return;
    tokens_ = kTokens;
    constexpr size_t kColumns = Format::kScales == Per::k16 ? kSubColumns : kScaleColumns;
    TileShapes shapes;
    for (size_t i = 0; i < 2; ++i) {
      set(shapes, i, kTokens, 64);            // dots
      set(shapes, 2 + i, kTokens, kColumns);  // input
      set(shapes, 4 + i, kColumns / 4, 64);   // weights
    }
    _tile_loadconfig(&shapes);
  }

  template <class Format, size_t kTokens>
  HWY_INLINE void pass(const Panel& panel, size_t pass, size_t blocks, const TokenTile<kTokens>& x,
                       TileSums<kTokens>& tile) {
    __m512 sums[kTokens];
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) sums[t] = _mm512_setzero_ps();
    // The products of one step are under way while those of the step before are added up.
    constexpr size_t kStep = Format::kScales == Per::k16 ? kGroupBlocks : 2 * kGroupBlocks;
    size_t slot = 0;
    if (pass < blocks) multiply<Format>(panel, pass, blocks, x, slot);
    for (size_t b = pass; b < blocks; b += kStep, slot = 1 - slot) {
      if (b + kStep < blocks) multiply<Format>(panel, b + kStep, blocks, x, 1 - slot);
      add<Format>(panel, b, x, slot, sums);
      if (kStep > kGroupBlocks && b + kGroupBlocks < blocks)
        add_second<Format>(panel, b + kGroupBlocks, x, slot, sums);
    }
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) tile.take(pass, t, sums[t]);
  }

 private:
  static void set(TileShapes& shapes, size_t tile, size_t rows, size_t row_bytes) {
    shapes.rows[tile] = static_cast<uint8_t>(rows);
    shapes.row_bytes[tile] = static_cast<uint16_t>(row_bytes);
  }

  // Blocks b and b + 4, or the two halves of b.
  template <class Format, size_t kTokens>
  HWY_INLINE void multiply(const Panel& panel, size_t b, size_t blocks, const TokenTile<kTokens>& x,
                           size_t slot) {
    const auto stride = static_cast<long>(x.stride);
    const int8_t* values = x.values + b * kScaleColumns;
    const int8_t* second_values = values + kSubColumns;
    const int8_t* second = panel.values[b][4][0];
    bool has_second = true;
    if constexpr (Format::kScales == Per::k32) {
      has_second = b + kGroupBlocks < blocks;
      second_values = values + kGroupColumns;
      second = panel.values[has_second ? b + kGroupBlocks : b][0][0];
    }
    // The intrinsics do not tell the compiler that they read and write memory. A tile that is
    // cleared just before its product waits for the product before it, at three times the cost: so
    // each kind of instruction comes for both products before the next kind does.
    __asm__ volatile("" ::: "memory");
    if (has_second) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_loadd(2, values, stride);
      _tile_loadd(4, panel.values[b][0][0], 64);
      _tile_loadd(3, second_values, stride);
      _tile_loadd(5, second, 64);
      _tile_dpbssd(0, 2, 4);
      _tile_dpbssd(1, 3, 5);
      _tile_stored(0, dots_[slot][0][0], 64);
      _tile_stored(1, dots_[slot][1][0], 64);
    } else {
      _tile_zero(0);
      _tile_loadd(2, values, stride);
      _tile_loadd(4, panel.values[b][0][0], 64);
      _tile_dpbssd(0, 2, 4);
      _tile_stored(0, dots_[slot][0][0], 64);
    }
    __asm__ volatile("" ::: "memory");
  }

  template <class Format, size_t kTokens>
  HWY_INLINE void add(const Panel& panel, size_t b, const TokenTile<kTokens>& x, size_t slot,
                      __m512 (&sums)[kTokens]) {
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) {
      const BlockDots dots{_mm512_load_si512(dots_[slot][0][t]),
                           _mm512_load_si512(dots_[slot][1][t])};
      x.template add<Format>(panel, b, t, dots, sums[t]);
    }
  }
  template <class Format, size_t kTokens>
  HWY_INLINE void add_second(const Panel& panel, size_t b, const TokenTile<kTokens>& x, size_t slot,
                             __m512 (&sums)[kTokens]) {
    HWY_UNROLL(16)
    for (size_t t = 0; t < kTokens; ++t) {
      const __m512i dots = _mm512_load_si512(dots_[slot][1][t]);
      x.template add<Format>(panel, b, t, {dots, dots}, sums[t]);
    }
  }

  int32_t dots_[2][2][16][kPanelRows];
  size_t tokens_ = 0;  // that the tiles are shaped for
};

}  // namespace
}  // namespace spillway::ops::cpu::avx512
HWY_POP_ATTRIBUTES
