// The word that a pattern has at an index: the same on the CPU and in kernels. Any thread.
#pragma once

#include <cstdint>

namespace spillway::ops {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014), over a counter that starts at the seed: no
// two indices of a seed give the same word, and neighbours share nothing.
constexpr uint64_t pattern_word(uint64_t seed, uint64_t index) {
  uint64_t word = seed * 0xD1342543DE82EF95ULL + index * 0x9E3779B97F4A7C15ULL;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ULL;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBULL;
  return word ^ (word >> 31);
}

}  // namespace spillway::ops
