// Unicode facts as Python has them, in tables made by tools/make_jinja_unicode.py. Constants.
#pragma once

#include <cstdint>
#include <span>

namespace spillway::formats::jinja {

// Code points first, first + step … last map to themselves plus delta.
struct CaseRun {
  uint32_t first, last, step;
  int32_t delta;
};
// A code point that maps to several, or whose title case is neither itself nor its upper case.
struct SpecialCase {
  uint32_t from;
  const char* to;  // UTF-8
};

extern const std::span<const CaseRun> kUpperRuns;
extern const std::span<const CaseRun> kLowerRuns;
extern const std::span<const SpecialCase> kUpperSpecial;
extern const std::span<const SpecialCase> kLowerSpecial;
extern const std::span<const SpecialCase> kTitleSpecial;
// Sorted; printable from the first on, not from the second on, and so forth.
extern const std::span<const uint32_t> kPrintableFlips;

}  // namespace spillway::formats::jinja
