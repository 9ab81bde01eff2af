#include "formats/grammar_ranges.h"

#include <algorithm>

#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

constexpr CodePointRange kSurrogates = {0xD800, 0xDFFF};
constexpr uint32_t kLastOfLength[] = {0x7F, 0x7FF, 0xFFFF};

ByteRanges encoded(CodePointRange range) {
  std::string first, last;
  append_utf8(range.first, first);
  append_utf8(range.last, last);
  ByteRanges bytes;
  for (size_t i = 0; i < first.size(); ++i)
    bytes.emplace_back(static_cast<uint8_t>(first[i]), static_cast<uint8_t>(last[i]));
  return bytes;
}

// Where a range must be cut so that its first half's bytes are independent of each other: the first
// code point of the second half, or 0 where it needs no cut.
uint32_t cut_of(CodePointRange range) {
  for (const uint32_t last : kLastOfLength) {
    if (range.first <= last && range.last > last) return last + 1;
  }
  if (range.last <= kLastOfLength[0]) return 0;
  for (unsigned bits = 6; bits <= 18; bits += 6) {
    const uint32_t mask = (uint32_t{1} << bits) - 1;
    if ((range.first | mask) == (range.last | mask)) continue;
    if ((range.first & mask) != 0) return (range.first | mask) + 1;
    if ((range.last & mask) != mask) return range.last & ~mask;
  }
  return 0;
}

void add_sequences(CodePointRange range, std::vector<ByteRanges>& out) {
  while (range.first <= range.last) {
    CodePointRange part = range;
    for (uint32_t cut = cut_of(part); cut != 0; cut = cut_of(part)) part.last = cut - 1;
    out.push_back(encoded(part));
    range.first = part.last + 1;
  }
}

}  // namespace

std::vector<CodePointRange> sorted(std::vector<CodePointRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<CodePointRange> merged;
  for (const CodePointRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

std::vector<CodePointRange> complement(std::vector<CodePointRange> ranges) {
  std::vector<CodePointRange> gaps;
  uint32_t next = 0;
  for (const CodePointRange& range : sorted(std::move(ranges))) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) gaps.push_back({next, kLastCodePoint});
  return gaps;
}

std::vector<ByteRanges> utf8_ranges(const std::vector<CodePointRange>& ranges) {
  std::vector<ByteRanges> sequences;
  for (const CodePointRange& range : sorted(ranges)) {
    const uint32_t below = std::min(range.last, kSurrogates.first - 1);
    const uint32_t above = std::max(range.first, kSurrogates.last + 1);
    if (range.first <= below) add_sequences({range.first, below}, sequences);
    if (above <= range.last) add_sequences({above, range.last}, sequences);
  }
  return sequences;
}

}  // namespace spillway::formats
