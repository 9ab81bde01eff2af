// In which order the products of quantised weights are added up, so that every instruction set with
// fused multiply-adds gives the same bits, for one token and for many.
//
// Of one (row, token), in tiles of kTileColumns columns: block b of a tile goes to sum b % 4, in
// order, as
//   sum = fma(minimum, Σ input, sum) if the format has minima (twice if they are per 16 columns),
//   sum = fma(dot × weight scale, input scale, sum), where dot is an exact integer; with a scale
//         per 16 columns, dot × scale is fma(second dot, its scale, first dot × its scale).
// A tile is (sum 0 + sum 1) + (sum 2 + sum 3); tiles are added in order.
#pragma once

#include <cstddef>

#include "ops/cpu/prepared.h"

namespace spillway::ops::cpu {

inline constexpr size_t kGroupBlocks = 4;  // of 32 columns: what is read together
inline constexpr size_t kGroupColumns = kGroupBlocks * kScaleColumns;
inline constexpr size_t kTileColumns = 1024;  // whole blocks of every format
inline constexpr size_t kTileBlocks = kTileColumns / kScaleColumns;

// How finely a format's scales, or minima, are spaced.
enum class Per { kNone, k32, k16 };

}  // namespace spillway::ops::cpu
