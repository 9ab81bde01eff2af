#include "formats/grammar_compiler.h"

#include "formats/grammar_ranges.h"

namespace spillway::formats {
namespace {

using Kind = Grammar::Symbol::Kind;

tl::unexpected<Error> too_large() {
  return fail(ErrorCode::kUsage,
              "the grammar has more than {} symbols once its repetitions are written out; make its "
              "repetitions shorter, or unbounded (* or {{n,}})",
              Grammar::kMostSymbols);
}

}  // namespace

Grammar::Symbol GrammarCompiler::add_set(const ByteSet& set) {
  const auto [entry, added] = sets_.try_emplace(set, static_cast<uint32_t>(grammar_.sets_.size()));
  if (added) grammar_.sets_.push_back(set);
  return {Kind::kBytes, entry->second};
}

Grammar::Symbol GrammarCompiler::byte_set(uint8_t first, uint8_t last) {
  ByteSet set;
  set.add(first, last);
  return add_set(set);
}

Grammar::Symbol GrammarCompiler::add_rule() {
  grammar_.rules_.emplace_back();
  return {Kind::kRule, static_cast<uint32_t>(grammar_.rules_.size() - 1)};
}

Result<void> GrammarCompiler::add_alternative(Symbol rule, const Symbols& alternative) {
  if (grammar_.symbols_.size() + alternative.size() >= Grammar::kMostSymbols) return too_large();
  grammar_.rules_[rule.index].push_back(static_cast<uint32_t>(grammar_.symbols_.size()));
  grammar_.symbols_.insert(grammar_.symbols_.end(), alternative.begin(), alternative.end());
  grammar_.symbols_.push_back({Kind::kEnd, 0});
  return {};
}

// ASCII characters are one set; each range of longer ones is an alternative.
Result<void> GrammarCompiler::append_class(const Expression& expression, Symbols& out) {
  const auto known = classes_.find(expression.ranges);
  if (known != classes_.end()) {
    out.push_back(known->second);
    return {};
  }
  ByteSet ascii;
  std::vector<Symbols> longer;
  for (const ByteRanges& range : utf8_ranges(expression.ranges)) {
    if (range.size() == 1) {
      ascii.add(range[0].first, range[0].second);
      continue;
    }
    Symbols bytes;
    for (const auto& [first, last] : range) bytes.push_back(byte_set(first, last));
    longer.push_back(std::move(bytes));
  }
  Symbol symbol = add_set(ascii);
  if (!longer.empty()) {
    const Symbol one_byte = symbol;
    symbol = add_rule();
    if (ascii != ByteSet()) SPILLWAY_TRY(add_alternative(symbol, {one_byte}));
    for (const Symbols& bytes : longer) SPILLWAY_TRY(add_alternative(symbol, bytes));
  }
  classes_.emplace(expression.ranges, symbol);
  out.push_back(symbol);
  return {};
}

// x{2,4} is x x (x (x)?)?; x{2,} is x x r with r ::= x r | "".
Result<void> GrammarCompiler::append_repeat(const Expression& expression, Symbols& out) {
  Symbols part;
  SPILLWAY_TRY(append(expression.parts[0], part));
  if (part.size() != 1) {
    const Symbol rule = add_rule();
    SPILLWAY_TRY(add_alternative(rule, part));
    part = {rule};
  }
  const bool bounded = expression.most != Expression::kUnbounded;
  if (expression.least > Grammar::kMostSymbols ||
      (bounded && expression.most > Grammar::kMostSymbols))
    return too_large();
  out.insert(out.end(), expression.least, part[0]);
  if (!bounded) {
    const Symbol rest = add_rule();
    SPILLWAY_TRY(add_alternative(rest, {part[0], rest}));
    SPILLWAY_TRY(add_alternative(rest, {}));
    out.push_back(rest);
    return {};
  }
  Symbols rest;  // of what may follow
  for (size_t i = expression.least; i < expression.most; ++i) {
    const Symbol rule = add_rule();
    rest.insert(rest.begin(), part[0]);
    SPILLWAY_TRY(add_alternative(rule, rest));
    SPILLWAY_TRY(add_alternative(rule, {}));
    rest = {rule};
  }
  out.insert(out.end(), rest.begin(), rest.end());
  return {};
}

Result<void> GrammarCompiler::append(const Expression& expression, Symbols& out) {
  if (out.size() > Grammar::kMostSymbols) return too_large();
  switch (expression.kind) {
    case Expression::Kind::kText:
      for (const char c : expression.text)
        out.push_back(byte_set(static_cast<uint8_t>(c), static_cast<uint8_t>(c)));
      return {};
    case Expression::Kind::kClass:
      return append_class(expression, out);
    case Expression::Kind::kSequence:
      for (const Expression& part : expression.parts) SPILLWAY_TRY(append(part, out));
      return {};
    case Expression::Kind::kChoice: {
      const Symbol rule = add_rule();
      for (const Expression& part : expression.parts) {
        Symbols alternative;
        SPILLWAY_TRY(append(part, alternative));
        SPILLWAY_TRY(add_alternative(rule, alternative));
      }
      out.push_back(rule);
      return {};
    }
    case Expression::Kind::kRepeat:
      return append_repeat(expression, out);
    case Expression::Kind::kRule: {
      const auto named = named_.find(expression.text);
      if (named == named_.end())
        return fail(ErrorCode::kUsage, "the grammar has no rule '{}'", expression.text);
      out.push_back(named->second);
      return {};
    }
  }
  return {};
}

Result<Grammar> GrammarCompiler::compile(const Rules& rules, const std::string& root) {
  std::vector<std::string> names;
  for (const auto& [name, expression] : rules) {
    named_.emplace(name, add_rule());
    names.push_back(name);
  }
  const auto start = named_.find(root);
  if (start == named_.end())
    return fail(ErrorCode::kUsage, "the grammar has no rule '{}': where does it begin?", root);
  grammar_.root_ = start->second.index;
  for (const auto& [name, expression] : rules) {
    Symbols alternative;
    SPILLWAY_TRY(append(expression, alternative));
    SPILLWAY_TRY(add_alternative(named_.at(name), alternative));
  }
  SPILLWAY_TRY(check_left_recursion(grammar_, names));
  SPILLWAY_TRY(drop_endless());
  return std::move(grammar_);
}

Result<Grammar> Grammar::compile(const Rules& rules, const std::string& root) {
  return GrammarCompiler().compile(rules, root);
}

size_t Grammar::memory_bytes() const {
  size_t bytes = symbols_.capacity() * sizeof(Symbol) + sets_.capacity() * sizeof(ByteSet);
  for (const auto& alternatives : rules_)
    bytes += sizeof(alternatives) + alternatives.capacity() * sizeof(uint32_t);
  return bytes;
}

}  // namespace spillway::formats
