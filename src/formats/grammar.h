// A context-free grammar over bytes: which texts an answer may be. Written as GBNF (llama.cpp's
// grammars/README.md) or as a JSON schema (json_schema.h); characters become their UTF-8 bytes.
// Immutable; any thread. Matching: grammar_matcher.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/grammar_expression.h"

namespace spillway::formats {

// A set of byte values.
struct ByteSet {
  std::array<uint64_t, 4> bits = {};
  bool has(uint8_t byte) const { return (bits[byte / 64] >> (byte % 64) & 1) != 0; }
  void add(uint8_t first, uint8_t last) {
    for (unsigned byte = first; byte <= last; ++byte) bits[byte / 64] |= uint64_t{1} << (byte % 64);
  }
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes a comparison's 0 for a pointer
  auto operator<=>(const ByteSet&) const = default;
};

class Grammar {
 public:
  struct Symbol {
    enum class Kind : uint32_t { kBytes, kRule, kEnd };
    Kind kind = Kind::kEnd;
    uint32_t index = 0;  // of the byte set, or of the rule
  };
  // Expanded repetitions count.
  static constexpr size_t kMostSymbols = size_t{1} << 16;
  static constexpr size_t kMostTextBytes = size_t{1} << 20;

  // Rules as "name ::= …" lines; the text is what "root" stands for. kUsage, with the line: what
  // cannot be read, an undefined rule, left recursion, no text at all, more than kMostSymbols.
  static Result<Grammar> parse_gbnf(std::string_view text);
  // kUsage as above.
  static Result<Grammar> compile(const Rules& rules, const std::string& root);

  const std::vector<Symbol>& symbols() const { return symbols_; }
  const ByteSet& bytes(uint32_t set) const { return sets_[set]; }
  // Where each of a rule's alternatives begins in symbols(); each ends with kEnd.
  std::span<const uint32_t> alternatives(uint32_t rule) const { return rules_[rule]; }
  size_t rules() const { return rules_.size(); }
  uint32_t root() const { return root_; }
  size_t memory_bytes() const;  // about

 private:
  friend class GrammarCompiler;
  std::vector<Symbol> symbols_;
  std::vector<ByteSet> sets_;
  std::vector<std::vector<uint32_t>> rules_;
  uint32_t root_ = 0;
};

}  // namespace spillway::formats
