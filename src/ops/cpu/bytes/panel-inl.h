// Eight rows of weights, a tile of their columns, unpacked so that a vector holds the same columns
// of every row: what products with several tokens are computed from. Lies on the stack.
#pragma once

#include "ops/cpu/bytes/multiply_token-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

inline constexpr size_t kPanelRows = 8;

struct alignas(64) Panel {
  std::byte values[kTileBlocks][kPanelRows * kScaleColumns];  // as the Isa stores a block
  float scales[kTileBlocks][2][kPanelRows];  // the second: of a block's second 16 columns
  float minima[kTileBlocks][2][kPanelRows];
};

// Rows [row, end), at most 8, and the columns of one tile. The last row stands in for those that
// are missing.
struct Part {
  const WeightRows& weight;
  size_t row;
  size_t end;
  size_t first_column;
  size_t columns;

  size_t blocks() const { return columns / kScaleColumns; }
};

HWY_INLINE void store_scales(Floats4 of_blocks, float* to) {
  HWY_UNROLL(4)
  for (size_t b = 0; b < kGroupBlocks; ++b) to[b * 2 * kPanelRows] = of_blocks[b];
}

template <class Isa, class Format, size_t kHalf, size_t kBlock>
HWY_INLINE void unpack_block(const std::byte* const (&rows)[kPanelRows], std::byte* to) {
  Bytes values[kPanelRows];
  HWY_UNROLL(8)
  for (size_t r = 0; r < kPanelRows; ++r)
    values[r] = weights_of<Isa, Format, kHalf, kBlock>(rows[r]);
  Isa::store_block(values, to);
}

// Group kHalf of the blocks at hand, which are the panel's from `block` on.
template <class Isa, class Format, size_t kHalf>
HWY_INLINE void unpack_group(const std::byte* const (&rows)[kPanelRows], size_t block,
                             Panel& panel) {
  unpack_block<Isa, Format, kHalf, 0>(rows, panel.values[block]);
  unpack_block<Isa, Format, kHalf, 1>(rows, panel.values[block + 1]);
  unpack_block<Isa, Format, kHalf, 2>(rows, panel.values[block + 2]);
  unpack_block<Isa, Format, kHalf, 3>(rows, panel.values[block + 3]);
  for (size_t r = 0; r < kPanelRows; ++r) {
    const Scales scales = Format::template scales<Isa, kHalf>(rows[r]);
    store_scales(scales.low, &panel.scales[block][0][r]);
    if constexpr (Format::kScales == Per::k16)
      store_scales(scales.high, &panel.scales[block][1][r]);
    if constexpr (Format::kMinima != Per::kNone)
      store_scales(scales.minima_low, &panel.minima[block][0][r]);
    if constexpr (Format::kMinima == Per::k16)
      store_scales(scales.minima_high, &panel.minima[block][1][r]);
  }
}

template <class Isa, class Format>
HWY_NOINLINE void unpack_panel(const Part& part, Panel& panel) {
  const auto& [weight, row, end, first, columns] = part;
  const size_t row_size = weight.columns / Format::kColumns * Format::kBytes;
  const std::byte* rows[kPanelRows];
  for (size_t r = 0; r < kPanelRows; ++r) {
    rows[r] = weight.data + std::min(row + r, end - 1) * row_size +
              first / Format::kColumns * Format::kBytes;
  }
  size_t column = 0;
  for (; column + kStepColumns<Format> <= columns; column += kStepColumns<Format>) {
    const size_t block = column / kScaleColumns;
    unpack_group<Isa, Format, 0>(rows, block, panel);
    if constexpr (Format::kColumns == 256)
      unpack_group<Isa, Format, 1>(rows, block + kGroupBlocks, panel);
    for (const std::byte*& at : rows) at += kStepBytes<Format>;
  }
  if constexpr (Format::kColumns != 256) {  // whose rows are whole groups
    if (column < columns) {
      std::byte last[kPanelRows][kGroupBlocks * Format::kBytes] = {};
      for (size_t r = 0; r < kPanelRows; ++r) {
        std::copy_n(rows[r], (columns - column) / Format::kColumns * Format::kBytes, last[r]);
        rows[r] = last[r];
      }
      unpack_group<Isa, Format, 0>(rows, column / kScaleColumns, panel);
    }
  }
}

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES
