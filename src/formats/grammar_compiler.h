// Expressions to symbols: see grammar.h. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/grammar.h"

namespace spillway::formats {

class GrammarCompiler {
 public:
  Result<Grammar> compile(const Rules& rules, const std::string& root);

 private:
  using Symbol = Grammar::Symbol;
  using Symbols = std::vector<Symbol>;

  Result<void> append(const Expression& expression, Symbols& out);
  Result<void> append_class(const Expression& expression, Symbols& out);
  Result<void> append_repeat(const Expression& expression, Symbols& out);
  Result<void> drop_endless();
  Symbol byte_set(uint8_t first, uint8_t last);
  Symbol add_set(const ByteSet& set);
  Symbol add_rule();
  Result<void> add_alternative(Symbol rule, const Symbols& alternative);

  Grammar grammar_;
  std::map<std::string, Symbol, std::less<>> named_;
  std::map<ByteSet, uint32_t> sets_;
  std::map<std::vector<CodePointRange>, Symbol> classes_;
};

// kUsage: a rule that begins with itself, so that a text has no beginning.
Result<void> check_left_recursion(const Grammar& grammar,
                                  const std::vector<std::string>& rule_names);

}  // namespace spillway::formats
