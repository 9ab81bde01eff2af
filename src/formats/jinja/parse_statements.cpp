// The parser's statements.
#include <algorithm>

#include "formats/jinja/parser.h"

namespace spillway::formats::jinja {

Parser::Stmt Parser::make_statement(decltype(Statement::node) node, size_t line) {
  program_->statements.push_back({std::move(node), line});
  return &program_->statements.back();
}

// Statements up to a tag named one of `end_names`, which becomes the current token, or, without
// any, up to the end.
Result<Body> Parser::parse_body(std::initializer_list<std::string_view> end_names) {
  const Nesting nesting(*this);
  SPILLWAY_TRY(nesting.check());
  Body body;
  while (current().kind != TokenKind::kEnd) {
    const size_t line = current().line;
    const Statement* statement = nullptr;
    if (current().kind == TokenKind::kData) {
      SPILLWAY_ASSIGN(statement, make_statement(OutputText{current().text}, line));
      advance();
    } else if (current().kind == TokenKind::kVariableBegin) {
      advance();
      SPILLWAY_ASSIGN(const Expression* expression, parse_tuple());
      SPILLWAY_TRY(expect(TokenKind::kVariableEnd, "'}}'"));
      SPILLWAY_ASSIGN(statement, make_statement(OutputExpression{expression}, line));
    } else {
      SPILLWAY_TRY(expect(TokenKind::kBlockBegin, "text or a tag"));
      if (at_any_name(end_names)) return body;
      SPILLWAY_ASSIGN(statement, parse_statement());
      SPILLWAY_TRY(expect(TokenKind::kBlockEnd, "'%}'"));
    }
    body.push_back(statement);
  }
  if (end_names.size() == 0) return body;
  return expected(fmt::format("'{{% {} %}}'", *(end_names.end() - 1)));
}

// The rest of a tag and the statements behind it, up to a tag of `end_names`.
Result<Body> Parser::parse_block(std::initializer_list<std::string_view> end_names) {
  skip_operator(":");
  SPILLWAY_TRY(expect(TokenKind::kBlockEnd, "'%}'"));
  return parse_body(end_names);
}

Parser::Stmt Parser::parse_statement() {
  constexpr std::pair<std::string_view, Stmt (Parser::*)()> kStatements[] = {
      {"if", &Parser::parse_if},
      {"for", &Parser::parse_for},
      {"set", &Parser::parse_set},
      {"macro", &Parser::parse_macro},
      {"call", &Parser::parse_call_block},
      {"filter", &Parser::parse_filter_block},
      {"with", &Parser::parse_with},
      {"generation", &Parser::parse_generation},
      {"break", &Parser::parse_loop_control},
      {"continue", &Parser::parse_loop_control}};
  for (const auto& [name, parse] : kStatements) {
    if (at_name(name)) return (this->*parse)();
  }
  return expected("a statement that chat templates may use");
}

Parser::Stmt Parser::parse_if() {
  const size_t line = current().line;
  IfStatement statement;
  do {
    advance();
    SPILLWAY_ASSIGN(const Expression* condition, parse_tuple(false));
    SPILLWAY_ASSIGN(Body body, parse_block({"elif", "else", "endif"}));
    statement.branches.emplace_back(condition, std::move(body));
  } while (at_name("elif"));
  if (skip_name("else")) {
    SPILLWAY_ASSIGN(statement.otherwise, parse_block({"endif"}));
  }
  advance();
  return make_statement(std::move(statement), line);
}

Parser::Stmt Parser::parse_for() {
  const size_t line = current().line;
  advance();
  ForStatement statement;
  SPILLWAY_ASSIGN(statement.target, parse_target(false, "in"));
  SPILLWAY_TRY(expect_name("in"));
  SPILLWAY_ASSIGN(statement.iterable, parse_tuple(false, false, "recursive"));
  if (skip_name("if")) {
    SPILLWAY_ASSIGN(statement.condition, parse_expression());
  }
  statement.recursive = skip_name("recursive");
  ++loops_;
  SPILLWAY_ASSIGN(statement.body, parse_block({"else", "endfor"}));
  --loops_;
  if (skip_name("else")) {
    SPILLWAY_ASSIGN(statement.otherwise, parse_block({"endfor"}));
  }
  advance();
  return make_statement(std::move(statement), line);
}

Parser::Stmt Parser::parse_set() {
  const size_t line = current().line;
  advance();
  SPILLWAY_ASSIGN(Target target, parse_target(true));
  if (skip_operator("=")) {
    SPILLWAY_ASSIGN(const Expression* value, parse_tuple());
    return make_statement(SetStatement{std::move(target), value}, line);
  }
  SPILLWAY_ASSIGN(const Expression* filter, parse_filter_chain(nullptr, false));
  SPILLWAY_ASSIGN(Body body, parse_block({"endset"}));
  advance();
  return make_statement(SetBlock{std::move(target), filter, std::move(body)}, line);
}

Result<Target> Parser::parse_single_target(bool with_namespace) {
  Target target;
  if (skip_operator("(")) {
    const Nesting nesting(*this);
    SPILLWAY_TRY(nesting.check());
    SPILLWAY_ASSIGN(target, parse_target(with_namespace));
    SPILLWAY_TRY(expect_operator(")"));
    return target;
  }
  SPILLWAY_ASSIGN(const std::string name, take_name());
  for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) return error(fmt::format("cannot assign to '{}'", name));
  }
  target.name = intern(name);
  if (with_namespace && skip_operator(".")) {
    SPILLWAY_ASSIGN(target.attribute, take_name());
  }
  return target;
}

Result<Target> Parser::parse_target(bool with_namespace, std::string_view end_name) {
  Target target;
  while (!at_tuple_end(end_name)) {
    SPILLWAY_ASSIGN(Target element, parse_single_target(with_namespace));
    target.elements.push_back(std::move(element));
    if (!skip_operator(",")) break;
    target.tuple = true;
  }
  if (target.tuple) return target;
  if (target.elements.empty()) return expected("a name");
  Target single = std::move(target.elements[0]);
  return single;
}

Result<void> Parser::parse_signature(MacroDefinition& macro) {
  SPILLWAY_TRY(expect_operator("("));
  while (!at_operator(")")) {
    if (!macro.parameters.empty()) SPILLWAY_TRY(expect_operator(","));
    SPILLWAY_ASSIGN(const std::string name, take_name());
    const Expression* otherwise = nullptr;
    if (skip_operator("=")) {
      SPILLWAY_ASSIGN(otherwise, parse_expression());
    } else if (!macro.parameters.empty() && macro.parameters.back().second != nullptr) {
      return error("a parameter without a default follows one with a default");
    }
    macro.parameters.emplace_back(intern(name), otherwise);
  }
  return expect_operator(")");
}

Result<void> Parser::parse_macro_body(MacroDefinition& macro,
                                      std::initializer_list<std::string_view> end_names) {
  const size_t loops = std::exchange(loops_, 0);
  macros_.push_back(&macro);
  SPILLWAY_ASSIGN(macro.body, parse_block(end_names));
  macros_.pop_back();
  loops_ = loops;
  advance();
  return {};
}

Parser::Stmt Parser::parse_macro() {
  const size_t line = current().line;
  advance();
  MacroStatement statement;
  SPILLWAY_ASSIGN(statement.definition.name, take_name());
  statement.name = intern(statement.definition.name);
  SPILLWAY_TRY(parse_signature(statement.definition));
  SPILLWAY_TRY(parse_macro_body(statement.definition, {"endmacro"}));
  return make_statement(std::move(statement), line);
}

Parser::Stmt Parser::parse_call_block() {
  const size_t line = current().line;
  advance();
  CallBlock block{nullptr, {}};
  if (at_operator("(")) SPILLWAY_TRY(parse_signature(block.body));
  SPILLWAY_ASSIGN(const Expression* expression, parse_expression());
  block.call = std::get_if<Call>(&expression->node);
  if (block.call == nullptr) return error("expected a call");
  SPILLWAY_TRY(parse_macro_body(block.body, {"endcall"}));
  return make_statement(std::move(block), line);
}

Parser::Stmt Parser::parse_filter_block() {
  const size_t line = current().line;
  advance();
  FilterBlock block;
  SPILLWAY_ASSIGN(block.filter, parse_filter_chain(nullptr, true));
  SPILLWAY_ASSIGN(block.body, parse_block({"endfilter"}));
  advance();
  return make_statement(std::move(block), line);
}

Parser::Stmt Parser::parse_with() {
  const size_t line = current().line;
  advance();
  WithStatement statement;
  while (current().kind != TokenKind::kBlockEnd) {
    if (!statement.assignments.empty()) SPILLWAY_TRY(expect_operator(","));
    SPILLWAY_ASSIGN(Target target, parse_target(false));
    SPILLWAY_TRY(expect_operator("="));
    SPILLWAY_ASSIGN(const Expression* value, parse_expression());
    statement.assignments.emplace_back(std::move(target), value);
  }
  SPILLWAY_ASSIGN(statement.body, parse_block({"endwith"}));
  advance();
  return make_statement(std::move(statement), line);
}

// Hugging Face's mark around what the model said: renders its body, in a scope of its own.
Parser::Stmt Parser::parse_generation() {
  const size_t line = current().line;
  advance();
  const size_t loops = std::exchange(loops_, 0);
  WithStatement statement;
  SPILLWAY_ASSIGN(statement.body, parse_block({"endgeneration"}));
  loops_ = loops;
  advance();
  return make_statement(std::move(statement), line);
}

Parser::Stmt Parser::parse_loop_control() {
  const size_t line = current().line;
  const bool is_break = current().text == "break";
  if (loops_ == 0) return error(fmt::format("'{}' outside a loop", current().text));
  advance();
  if (is_break) return make_statement(BreakStatement{}, line);
  return make_statement(ContinueStatement{}, line);
}

}  // namespace spillway::formats::jinja
