// The parser's expressions, from the loosest binding to the tightest.
#include <algorithm>
#include <charconv>

#include "formats/jinja/parser.h"

namespace spillway::formats::jinja {
namespace {

std::vector<const Expression*> children_of(const CallArguments& arguments,
                                           const Expression* first) {
  std::vector<const Expression*> children = arguments.positional;
  for (const auto& named : arguments.named) children.push_back(named.second);
  children.insert(children.end(), {first, arguments.more_positional, arguments.more_named});
  return children;
}

}  // namespace

Parser::Expr Parser::parse_expression(bool with_conditional) {
  const Nesting nesting(*this);
  SPILLWAY_TRY(nesting.check());
  SPILLWAY_ASSIGN(const Expression* expression, parse_or());
  while (with_conditional && skip_name("if")) {
    SPILLWAY_ASSIGN(const Expression* condition, parse_or());
    const Expression* otherwise = nullptr;
    if (skip_name("else")) {
      SPILLWAY_ASSIGN(otherwise, parse_expression());
    }
    SPILLWAY_ASSIGN(expression, make(Conditional{condition, expression, otherwise},
                                     {condition, expression, otherwise}));
  }
  return expression;
}

Parser::Expr Parser::parse_or() {
  SPILLWAY_ASSIGN(const Expression* left, parse_and());
  while (skip_name("or")) {
    SPILLWAY_ASSIGN(const Expression* right, parse_and());
    SPILLWAY_ASSIGN(left, make(Logical{false, left, right}, {left, right}));
  }
  return left;
}

Parser::Expr Parser::parse_and() {
  SPILLWAY_ASSIGN(const Expression* left, parse_not());
  while (skip_name("and")) {
    SPILLWAY_ASSIGN(const Expression* right, parse_not());
    SPILLWAY_ASSIGN(left, make(Logical{true, left, right}, {left, right}));
  }
  return left;
}

Parser::Expr Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  const Nesting nesting(*this);
  SPILLWAY_TRY(nesting.check());
  advance();
  SPILLWAY_ASSIGN(const Expression* operand, parse_not());
  return make(Not{operand}, {operand});
}

Parser::Expr Parser::parse_compare() {
  constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
      {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
      {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
      {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual}};
  SPILLWAY_ASSIGN(const Expression* first, parse_sum());
  Compare compare{first, {}};
  std::vector<const Expression*> children{first};
  while (true) {
    const auto known = std::find_if(std::begin(kComparisons), std::end(kComparisons),
                                    [this](const auto& c) { return at_operator(c.first); });
    Comparison comparison = Comparison::kIn;
    if (known != std::end(kComparisons)) {
      comparison = known->second;
    } else if (at_name("not") && next().kind == TokenKind::kName && next().text == "in") {
      advance();
      comparison = Comparison::kNotIn;
    } else if (!at_name("in")) {
      break;
    }
    advance();
    SPILLWAY_ASSIGN(const Expression* operand, parse_sum());
    compare.rest.emplace_back(comparison, operand);
    children.push_back(operand);
  }
  if (compare.rest.empty()) return first;
  return make(std::move(compare), children);
}

Parser::Expr Parser::parse_sum() {
  SPILLWAY_ASSIGN(const Expression* left, parse_concat());
  while (at_operator("+") || at_operator("-")) {
    const Operator op = current().text == "+" ? Operator::kAdd : Operator::kSubtract;
    advance();
    SPILLWAY_ASSIGN(const Expression* right, parse_concat());
    SPILLWAY_ASSIGN(left, make(Binary{op, left, right}, {left, right}));
  }
  return left;
}

Parser::Expr Parser::parse_concat() {
  SPILLWAY_ASSIGN(const Expression* first, parse_product());
  std::vector<const Expression*> parts{first};
  while (skip_operator("~")) {
    SPILLWAY_ASSIGN(const Expression* part, parse_product());
    parts.push_back(part);
  }
  if (parts.size() == 1) return first;
  return make(Concatenate{parts}, parts);
}

Parser::Expr Parser::parse_product() {
  constexpr std::pair<std::string_view, Operator> kOperators[] = {{"*", Operator::kMultiply},
                                                                  {"/", Operator::kDivide},
                                                                  {"//", Operator::kFloorDivide},
                                                                  {"%", Operator::kModulo}};
  SPILLWAY_ASSIGN(const Expression* left, parse_power());
  while (true) {
    const auto known = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [this](const auto& op) { return at_operator(op.first); });
    if (known == std::end(kOperators)) return left;
    advance();
    SPILLWAY_ASSIGN(const Expression* right, parse_power());
    SPILLWAY_ASSIGN(left, make(Binary{known->second, left, right}, {left, right}));
  }
}

Parser::Expr Parser::parse_power() {
  SPILLWAY_ASSIGN(const Expression* left, parse_unary());
  while (skip_operator("**")) {
    SPILLWAY_ASSIGN(const Expression* right, parse_unary());
    SPILLWAY_ASSIGN(left, make(Binary{Operator::kPower, left, right}, {left, right}));
  }
  return left;
}

Parser::Expr Parser::parse_unary(bool with_filter) {
  const Nesting nesting(*this);
  SPILLWAY_TRY(nesting.check());
  const Expression* expression = nullptr;
  if (skip_operator("-")) {
    SPILLWAY_ASSIGN(const Expression* operand, parse_unary(false));
    SPILLWAY_ASSIGN(expression, make(Negate{operand}, {operand}));
  } else if (skip_operator("+")) {
    SPILLWAY_ASSIGN(const Expression* operand, parse_unary(false));
    SPILLWAY_ASSIGN(expression, make(Positive{operand}, {operand}));
  } else {
    SPILLWAY_ASSIGN(expression, parse_primary());
  }
  SPILLWAY_ASSIGN(expression, parse_postfix(expression));
  if (!with_filter) return expression;
  return parse_filters_and_tests(expression);
}

Parser::Expr Parser::parse_postfix(const Expression* expression) {
  while (true) {
    if (at_operator(".")) {
      SPILLWAY_ASSIGN(expression, parse_attribute(expression));
    } else if (at_operator("[")) {
      SPILLWAY_ASSIGN(expression, parse_subscript(expression));
    } else if (at_operator("(")) {
      SPILLWAY_ASSIGN(expression, parse_call(expression));
    } else {
      return expression;
    }
  }
}

Parser::Expr Parser::parse_filters_and_tests(const Expression* expression) {
  while (true) {
    if (skip_operator("|")) {
      SPILLWAY_ASSIGN(expression, parse_filter(expression));
    } else if (skip_name("is")) {
      SPILLWAY_ASSIGN(expression, parse_test(expression));
    } else if (at_operator("(")) {
      SPILLWAY_ASSIGN(expression, parse_call(expression));
    } else {
      return expression;
    }
  }
}

Parser::Expr Parser::parse_attribute(const Expression* object) {
  advance();
  if (current().kind == TokenKind::kInteger) {
    SPILLWAY_ASSIGN(const Expression* key, parse_number());
    return make(GetItem{object, key}, {object, key});
  }
  SPILLWAY_ASSIGN(std::string name, take_name());
  return make(GetAttribute{object, std::move(name)}, {object});
}

Parser::Expr Parser::parse_subscript(const Expression* object) {
  advance();
  std::vector<const Expression*> keys;
  bool tuple = false;
  if (at_operator(":")) return parse_slice(object, nullptr);
  while (!at_operator("]")) {
    if (tuple && at_operator(":")) return error("a slice cannot be part of a tuple here");
    SPILLWAY_ASSIGN(const Expression* key, parse_expression());
    if (at_operator(":")) {
      if (tuple) return error("a slice cannot be part of a tuple here");
      return parse_slice(object, key);
    }
    keys.push_back(key);
    if (at_operator("]")) break;
    SPILLWAY_TRY(expect_operator(","));
    tuple = true;
  }
  SPILLWAY_TRY(expect_operator("]"));
  const Expression* key = nullptr;
  if (keys.size() == 1) {
    key = keys[0];
  } else {
    SPILLWAY_ASSIGN(key, make(ListDisplay{keys, true}, keys));
  }
  return make(GetItem{object, key}, {object, key});
}

// At the first ':' of object[start:stop:step].
Parser::Expr Parser::parse_slice(const Expression* object, const Expression* start) {
  advance();
  const Expression* stop = nullptr;
  const Expression* step = nullptr;
  if (!at_operator(":") && !at_operator("]")) {
    SPILLWAY_ASSIGN(stop, parse_expression());
  }
  if (skip_operator(":") && !at_operator("]")) {
    SPILLWAY_ASSIGN(step, parse_expression());
  }
  SPILLWAY_TRY(expect_operator("]"));
  return make(GetSlice{object, start, stop, step}, {object, start, stop, step});
}

Parser::Expr Parser::parse_call(const Expression* callee) {
  SPILLWAY_ASSIGN(CallArguments arguments, parse_call_arguments());
  const auto children = children_of(arguments, callee);
  return make(Call{callee, std::move(arguments)}, children);
}

Parser::Expr Parser::parse_filter(const Expression* input) {
  SPILLWAY_ASSIGN(std::string name, take_name());
  while (skip_operator(".")) {
    SPILLWAY_ASSIGN(const std::string part, take_name());
    name += "." + part;
  }
  CallArguments arguments;
  if (at_operator("(")) {
    SPILLWAY_ASSIGN(arguments, parse_call_arguments());
  }
  const auto children = children_of(arguments, input);
  return make(ApplyFilter{input, std::move(name), std::move(arguments)}, children);
}

Parser::Expr Parser::parse_filter_chain(const Expression* input, bool first_without_pipe) {
  const Expression* expression = input;
  while (first_without_pipe || skip_operator("|")) {
    SPILLWAY_ASSIGN(expression, parse_filter(expression));
    first_without_pipe = false;
  }
  return expression;
}

Parser::Expr Parser::parse_test(const Expression* input) {
  const bool negated = skip_name("not");
  SPILLWAY_ASSIGN(std::string name, take_name());
  while (skip_operator(".")) {
    SPILLWAY_ASSIGN(const std::string part, take_name());
    name += "." + part;
  }
  CallArguments arguments;
  const TokenKind kind = current().kind;
  if (at_operator("(")) {
    SPILLWAY_ASSIGN(arguments, parse_call_arguments());
  } else if ((kind == TokenKind::kName && !at_any_name({"else", "or", "and"})) ||
             kind == TokenKind::kString || kind == TokenKind::kInteger ||
             kind == TokenKind::kFloat || at_operator("[") || at_operator("{")) {
    if (at_name("is")) return error("tests cannot be chained with 'is'");
    SPILLWAY_ASSIGN(const Expression* argument, parse_primary());
    SPILLWAY_ASSIGN(argument, parse_postfix(argument));
    arguments.positional.push_back(argument);
  }
  const auto children = children_of(arguments, input);
  SPILLWAY_ASSIGN(const Expression* test,
                  make(ApplyTest{input, std::move(name), std::move(arguments)}, children));
  if (!negated) return test;
  return make(Not{test}, {test});
}

}  // namespace spillway::formats::jinja
