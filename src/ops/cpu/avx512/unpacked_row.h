// A tile of one row's weights, unpacked for 8-bit products. Columns come in groups of four blocks
// of 32: 64 bytes that hold the first halves of the four blocks, then 64 that hold the second, so
// that the product of a group lies in four 32-bit lanes per block. Included with immintrin.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/prepared.h"

namespace spillway::ops::cpu::avx512 {

inline constexpr size_t kTileColumns = 2048;  // four rows of them fit the first-level cache
inline constexpr size_t kGroupBlocks = 4;
inline constexpr size_t kGroupColumns = kGroupBlocks * kScaleColumns;
inline constexpr size_t kTileGroups = kTileColumns / kGroupColumns;

// How finely a format's scales, or minima, are spaced.
enum class Per { kNone, k32, k16 };

// weight = (byte − the format's centre) × scale + minimum. What lies behind the last block of a
// tile is zero up to a whole group, minima up to 16.
struct alignas(64) UnpackedRow {
  uint8_t values[kTileGroups][2][64];
  float scales[kTileGroups][2][16];  // of each lane of the first and second halves; one if per 32
  float minima[kTileColumns / kSubColumns];  // per 32 or 16 columns
};

}  // namespace spillway::ops::cpu::avx512
