// Sizes as people write them (64MiB, 1.5GB) and as we print them. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

// "64MiB", "12GiB", "1.5GB", "800kB", "4096", "4096B" → bytes. Binary units are KiB, MiB, GiB, TiB,
// EiB, decimal ones kB (KB), MB, GB, TB, EB; K, M, G, T alone are binary, as in llama.cpp and
// Docker. Error: kUsage.
Result<uint64_t> parse_size(std::string_view text);

// 67108864 → "64.0 MiB"; below 1 KiB "17 B".
std::string format_size(uint64_t bytes);

constexpr uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr uint64_t round_down(uint64_t value, uint64_t multiple) {
  return value / multiple * multiple;
}

}  // namespace spillway
