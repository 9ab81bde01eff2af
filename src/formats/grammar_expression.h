// The parts that grammars are written with, before they are compiled (grammar.h): what the GBNF
// parser and the JSON schema converter make. Values; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::formats {

// Code points from `first` to `last`, both included.
struct CodePointRange {
  uint32_t first = 0;
  uint32_t last = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes a comparison's 0 for a pointer
  auto operator<=>(const CodePointRange&) const = default;
};
constexpr uint32_t kLastCodePoint = 0x10FFFF;

struct Expression {
  enum class Kind {
    kText,      // these bytes
    kClass,     // one character of `ranges`
    kSequence,  // `parts` in a row
    kChoice,    // one of `parts`
    kRepeat,    // parts[0], `least` to `most` times
    kRule       // the rule named `text`
  };
  static constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();

  Kind kind = Kind::kSequence;
  std::string text = {};
  std::vector<CodePointRange> ranges = {};
  std::vector<Expression> parts = {};
  size_t least = 0;
  size_t most = kUnbounded;

  static Expression literal(std::string_view bytes) {
    return {.kind = Kind::kText, .text = std::string(bytes)};
  }
  static Expression one_of(std::vector<CodePointRange> ranges) {
    return {.kind = Kind::kClass, .ranges = std::move(ranges)};
  }
  static Expression sequence(std::vector<Expression> parts) {
    return {.kind = Kind::kSequence, .parts = std::move(parts)};
  }
  static Expression choice(std::vector<Expression> parts) {
    return {.kind = Kind::kChoice, .parts = std::move(parts)};
  }
  static Expression repeat(Expression part, size_t least, size_t most) {
    return {.kind = Kind::kRepeat, .parts = {std::move(part)}, .least = least, .most = most};
  }
  static Expression optional(Expression part) { return repeat(std::move(part), 0, 1); }
  static Expression rule(std::string_view name) {
    return {.kind = Kind::kRule, .text = std::string(name)};
  }
};

using Rules = std::map<std::string, Expression, std::less<>>;

// Sorted, without overlaps; and all code points that are in none of them.
std::vector<CodePointRange> sorted(std::vector<CodePointRange> ranges);
std::vector<CodePointRange> complement(std::vector<CodePointRange> ranges);

}  // namespace spillway::formats
