// What a grammar must not be made of: rules without a text, and left recursion.
//
// Left recursion: a rule that, before any byte of its own, asks for itself. Matching would go round
// for ever, with a longer way back each time. Where nothing is left to do on the way back (the rule
// comes last), the way does not get longer and the matcher notices that it was there.
#include <algorithm>
#include <limits>

#include "formats/grammar_compiler.h"

namespace spillway::formats {
namespace {

using Kind = Grammar::Symbol::Kind;

// Rules that may stand for a text: the empty one, or with_bytes any.
std::vector<bool> rules_with_a_text(const Grammar& grammar, bool with_bytes) {
  struct Alternative {
    uint32_t rule;
    size_t open;  // symbols that are not known to have such a text
  };
  std::vector<Alternative> alternatives;
  std::vector<std::vector<size_t>> uses(grammar.rules());
  std::vector<bool> has_text(grammar.rules(), false);
  std::vector<uint32_t> found;
  const auto close = [&](const Alternative& alternative) {
    if (alternative.open > 0 || has_text[alternative.rule]) return;
    has_text[alternative.rule] = true;
    found.push_back(alternative.rule);
  };
  for (uint32_t rule = 0; rule < grammar.rules(); ++rule) {
    for (uint32_t at : grammar.alternatives(rule)) {
      Alternative alternative{rule, 0};
      for (; grammar.symbols()[at].kind != Kind::kEnd; ++at) {
        const Grammar::Symbol& symbol = grammar.symbols()[at];
        const bool is_rule = symbol.kind == Kind::kRule;
        if (is_rule) uses[symbol.index].push_back(alternatives.size());
        if (is_rule || !with_bytes || grammar.bytes(symbol.index) == ByteSet()) ++alternative.open;
      }
      alternatives.push_back(alternative);
      close(alternative);
    }
  }
  while (!found.empty()) {
    const uint32_t rule = found.back();
    found.pop_back();
    for (const size_t use : uses[rule]) {
      --alternatives[use].open;
      close(alternatives[use]);
    }
  }
  return has_text;
}

// "`from` may begin with `to`"; `last`: and end with it, in the same alternative.
struct Edge {
  uint32_t to;
  bool last;
};

std::vector<std::vector<Edge>> left_edges(const Grammar& grammar) {
  const std::vector<bool> nullable = rules_with_a_text(grammar, false);
  const auto& symbols = grammar.symbols();
  std::vector<std::vector<Edge>> edges(grammar.rules());
  for (uint32_t rule = 0; rule < grammar.rules(); ++rule) {
    for (uint32_t at : grammar.alternatives(rule)) {
      for (; symbols[at].kind == Kind::kRule; ++at) {
        edges[rule].push_back({symbols[at].index, symbols[at + 1].kind == Kind::kEnd});
        if (!nullable[symbols[at].index]) break;
      }
    }
  }
  return edges;
}

// Tarjan's strongly connected components, without recursion: the component of each rule.
class Components {
 public:
  explicit Components(const std::vector<std::vector<Edge>>& edges)
      : edges_(edges), of_(edges.size(), kNone), order_(edges.size(), kNone), low_(edges.size()) {
    for (uint32_t rule = 0; rule < edges.size(); ++rule) {
      if (order_[rule] == kNone) visit(rule);
    }
  }
  uint32_t of(uint32_t rule) const { return of_[rule]; }

 private:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  struct Frame {
    uint32_t rule;
    size_t edge;
  };

  void enter(uint32_t rule) {
    order_[rule] = low_[rule] = count_++;
    open_.push_back(rule);
    frames_.push_back({rule, 0});
  }

  void leave(uint32_t rule) {
    frames_.pop_back();
    if (!frames_.empty()) {
      uint32_t& low = low_[frames_.back().rule];
      low = std::min(low, low_[rule]);
    }
    if (low_[rule] != order_[rule]) return;
    uint32_t member = kNone;
    do {
      member = open_.back();
      open_.pop_back();
      of_[member] = rule;
    } while (member != rule);
  }

  void visit(uint32_t start) {
    enter(start);
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      const uint32_t rule = frame.rule;
      if (frame.edge == edges_[rule].size()) {
        leave(rule);
        continue;
      }
      const uint32_t to = edges_[rule][frame.edge++].to;
      if (order_[to] == kNone) {
        enter(to);
      } else if (of_[to] == kNone) {
        low_[rule] = std::min(low_[rule], order_[to]);
      }
    }
  }

  const std::vector<std::vector<Edge>>& edges_;
  std::vector<uint32_t> of_, order_, low_, open_;
  std::vector<Frame> frames_;
  uint32_t count_ = 0;
};

}  // namespace

// So that every text that has begun can be ended.
Result<void> GrammarCompiler::drop_endless() {
  const std::vector<bool> has_text = rules_with_a_text(grammar_, true);
  const auto endless = [&](uint32_t at) {
    for (; grammar_.symbols_[at].kind != Kind::kEnd; ++at) {
      const Symbol& symbol = grammar_.symbols_[at];
      const bool ends = symbol.kind == Kind::kRule ? has_text[symbol.index]
                                                   : grammar_.bytes(symbol.index) != ByteSet();
      if (!ends) return true;
    }
    return false;
  };
  for (auto& alternatives : grammar_.rules_) std::erase_if(alternatives, endless);
  if (has_text[grammar_.root_]) return {};
  return fail(ErrorCode::kUsage, "the grammar has no text: its rules never come to an end");
}

Result<void> check_left_recursion(const Grammar& grammar,
                                  const std::vector<std::string>& rule_names) {
  const auto edges = left_edges(grammar);
  const Components components(edges);
  for (uint32_t rule = 0; rule < edges.size(); ++rule) {
    for (const Edge& edge : edges[rule]) {
      if (edge.last || components.of(edge.to) != components.of(rule)) continue;
      // Rules without a name are parts of those with one, which come first.
      uint32_t named = 0;
      while (named < rule_names.size() && components.of(named) != components.of(rule)) ++named;
      return fail(ErrorCode::kUsage,
                  "the grammar's rule '{}' begins with itself (left recursion); write the "
                  "repetition as (…)* or put the recursion last",
                  named < rule_names.size() ? rule_names[named] : "(a group)");
    }
  }
  return {};
}

}  // namespace spillway::formats
