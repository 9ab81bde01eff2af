// The parser's literals, names, displays and arguments of calls.
#include <charconv>
#include <limits>

#include "formats/jinja/numbers.h"
#include "formats/jinja/parser.h"

namespace spillway::formats::jinja {
namespace {

constexpr size_t kMaxNamed = 1000;

}  // namespace

Parser::Expr Parser::parse_primary() {
  switch (current().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString:
      return parse_strings();
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return parse_number();
    default:
      break;
  }
  if (skip_operator("(")) {
    SPILLWAY_ASSIGN(const Expression* expression, parse_tuple(true, true));
    SPILLWAY_TRY(expect_operator(")"));
    return expression;
  }
  if (at_operator("[")) return parse_list();
  if (at_operator("{")) return parse_dict();
  return expected("an expression");
}

Parser::Expr Parser::parse_name() {
  const std::string name = current().text;
  advance();
  if (name == "true" || name == "True") return make(Literal{Value(true)}, {});
  if (name == "false" || name == "False") return make(Literal{Value(false)}, {});
  if (name == "none" || name == "None") return make(Literal{Value(None{})}, {});
  const Name id = intern(name);
  for (MacroDefinition* macro : macros_) {
    macro->uses_caller |= id == kCallerName;
    macro->uses_varargs |= id == kVarargsName;
    macro->uses_kwargs |= id == kKwargsName;
  }
  return make(Variable{id}, {});
}

Parser::Expr Parser::parse_strings() {
  std::string text;
  for (; current().kind == TokenKind::kString; advance()) text += current().text;
  return make(Literal{Value(Text{std::make_shared<const std::string>(std::move(text))})}, {});
}

Parser::Expr Parser::parse_number() {
  const std::string& text = current().text;
  Value value;
  if (current().kind == TokenKind::kFloat) {
    value = Value(parse_float(text).value_or(std::numeric_limits<double>::infinity()));
  } else {
    const auto integer = parse_integer(text, 10);
    if (!integer) return error(fmt::format("the number {} is too large", text));
    value = Value(*integer);
  }
  advance();
  return make(Literal{std::move(value)}, {});
}

bool Parser::at_tuple_end(std::string_view end_name) const {
  return current().kind == TokenKind::kVariableEnd || current().kind == TokenKind::kBlockEnd ||
         at_operator(")") || (!end_name.empty() && at_name(end_name));
}

Parser::Expr Parser::parse_tuple(bool with_conditional, bool parenthesized,
                                 std::string_view end_name) {
  std::vector<const Expression*> items;
  bool tuple = false;
  while (!at_tuple_end(end_name)) {
    SPILLWAY_ASSIGN(const Expression* item, parse_expression(with_conditional));
    items.push_back(item);
    if (!skip_operator(",")) break;
    tuple = true;
  }
  if (!tuple && !items.empty()) return items[0];
  if (!tuple && !parenthesized) return expected("an expression");
  return make(ListDisplay{items, true}, items);
}

Parser::Expr Parser::parse_list() {
  advance();
  std::vector<const Expression*> items;
  while (!at_operator("]")) {
    SPILLWAY_ASSIGN(const Expression* item, parse_expression());
    items.push_back(item);
    if (!skip_operator(",")) break;
  }
  SPILLWAY_TRY(expect_operator("]"));
  return make(ListDisplay{items, false}, items);
}

Parser::Expr Parser::parse_dict() {
  advance();
  DictDisplay display;
  std::vector<const Expression*> children;
  while (!at_operator("}")) {
    SPILLWAY_ASSIGN(const Expression* key, parse_expression());
    SPILLWAY_TRY(expect_operator(":"));
    SPILLWAY_ASSIGN(const Expression* value, parse_expression());
    display.entries.emplace_back(key, value);
    children.insert(children.end(), {key, value});
    if (!skip_operator(",")) break;
  }
  SPILLWAY_TRY(expect_operator("}"));
  return make(std::move(display), children);
}

Result<CallArguments> Parser::parse_call_arguments() {
  SPILLWAY_TRY(expect_operator("("));
  CallArguments arguments;
  while (!at_operator(")")) {
    SPILLWAY_TRY(parse_call_argument(arguments));
    if (!skip_operator(",")) break;
  }
  SPILLWAY_TRY(expect_operator(")"));
  return arguments;
}

Result<void> Parser::parse_call_argument(CallArguments& arguments) {
  const bool after_dynamic =
      arguments.more_positional != nullptr || arguments.more_named != nullptr;
  if (skip_operator("*")) {
    if (after_dynamic) return error("'*' must come once, and before '**'");
    SPILLWAY_ASSIGN(arguments.more_positional, parse_expression());
  } else if (skip_operator("**")) {
    if (arguments.more_named != nullptr) return error("'**' must come once");
    SPILLWAY_ASSIGN(arguments.more_named, parse_expression());
  } else if (current().kind == TokenKind::kName && next().kind == TokenKind::kOperator &&
             next().text == "=") {
    if (arguments.more_named != nullptr) return error("arguments must come before '**'");
    std::string name = current().text;
    advance();
    advance();
    SPILLWAY_ASSIGN(const Expression* value, parse_expression());
    // Also keeps the search for repeated names short.
    if (arguments.named.size() == kMaxNamed)
      return error(fmt::format("more than {} named arguments", kMaxNamed));
    for (const auto& named : arguments.named) {
      if (named.first == name) return error(fmt::format("argument '{}' comes twice", name));
    }
    arguments.named.emplace_back(std::move(name), value);
  } else {
    if (after_dynamic || !arguments.named.empty())
      return error("positional arguments must come first");
    SPILLWAY_ASSIGN(const Expression* value, parse_expression());
    arguments.positional.push_back(value);
  }
  return {};
}

}  // namespace spillway::formats::jinja
