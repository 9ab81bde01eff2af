// Patterns of words in memory that a GPU reaches, in whichever place it lies, even both: written
// and checked to show that memory keeps its bytes while it moves, summed to measure the rate at
// which it is read. Each call launches one kernel and returns; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "platform/gpu.h"

namespace spillway::ops {

struct PatternRange {
  uint64_t* words = nullptr;  // 16-byte aligned
  size_t count = 0;           // of words
  uint64_t seed = 0;
  uint64_t first = 0;  // the index in the pattern that the first word has
};

// Words are pattern_word(seed, first + index).
Result<void> fill_pattern(platform::Gpu& gpu, const PatternRange& range, Stream stream);
// Adds the number of words that are not the pattern's to *mismatches, which the GPU reaches.
Result<void> check_pattern(platform::Gpu& gpu, const PatternRange& range, uint64_t* mismatches,
                           Stream stream);
// Adds the sum of all words, modulo 2^64, to *sum, which the GPU reaches. Reads as fast as memory
// gives. blocks 0: as many as fill the GPU; a link needs fewer.
Result<void> sum_words(platform::Gpu& gpu, const PatternRange& range, uint64_t* sum, Stream stream,
                       unsigned blocks = 0);

}  // namespace spillway::ops
