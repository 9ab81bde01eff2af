// Ranges of code points as sequences of byte ranges in UTF-8. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "formats/grammar_expression.h"

namespace spillway::formats {

// Each byte may lie in its range, independently of the others: 1 to 4 bytes.
using ByteRanges = std::vector<std::pair<uint8_t, uint8_t>>;

// The UTF-8 forms of all code points of `ranges`; surrogates have none.
std::vector<ByteRanges> utf8_ranges(const std::vector<CodePointRange>& ranges);

}  // namespace spillway::formats
