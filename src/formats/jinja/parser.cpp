// The parser's tokens and nodes.
#include "formats/jinja/parser.h"

#include <algorithm>

#include "formats/jinja/print.h"

namespace spillway::formats::jinja {
namespace {

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kData:
      return "text";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    default:
      return quote(token.text);
  }
}

}  // namespace

Parser::Parser(std::vector<Token> tokens, size_t nesting)
    : tokens_(std::move(tokens)), nesting_limit_(nesting), program_(std::make_unique<Program>()) {
  for (const char* name : {"loop", "caller", "varargs", "kwargs"}) intern(name);
}

Result<std::unique_ptr<Program>> Parser::parse() {
  SPILLWAY_ASSIGN(program_->body, parse_body({}));
  return std::move(program_);
}

Result<std::unique_ptr<Program>> parse_program(std::vector<Token> tokens, size_t nesting) {
  return Parser(std::move(tokens), nesting).parse();
}

void Parser::advance() {
  if (at_ + 1 < tokens_.size()) ++at_;
}

bool Parser::at_operator(std::string_view text) const {
  return current().kind == TokenKind::kOperator && current().text == text;
}

bool Parser::at_name(std::string_view text) const {
  return current().kind == TokenKind::kName && current().text == text;
}

bool Parser::at_any_name(std::initializer_list<std::string_view> names) const {
  return std::any_of(names.begin(), names.end(),
                     [this](std::string_view name) { return at_name(name); });
}

bool Parser::skip_operator(std::string_view text) {
  const bool found = at_operator(text);
  if (found) advance();
  return found;
}

bool Parser::skip_name(std::string_view text) {
  const bool found = at_name(text);
  if (found) advance();
  return found;
}

tl::unexpected<Error> Parser::error(std::string_view what) const {
  return fail(ErrorCode::kBadFile, "line {}: {}", current().line, what);
}

tl::unexpected<Error> Parser::expected(std::string_view what) const {
  return error(fmt::format("expected {}, found {}", what, describe(current())));
}

Result<void> Parser::expect_operator(std::string_view text) {
  if (skip_operator(text)) return {};
  return expected(fmt::format("'{}'", text));
}

Result<void> Parser::expect_name(std::string_view text) {
  if (skip_name(text)) return {};
  return expected(fmt::format("'{}'", text));
}

Result<void> Parser::expect(TokenKind kind, std::string_view what) {
  if (current().kind != kind) return expected(what);
  advance();
  return {};
}

Result<std::string> Parser::take_name() {
  if (current().kind != TokenKind::kName) return expected("a name");
  std::string name = current().text;
  advance();
  return name;
}

Name Parser::intern(const std::string& name) {
  const auto [it, added] =
      program_->name_index.try_emplace(name, static_cast<Name>(program_->names.size()));
  if (added) program_->names.push_back(name);
  return it->second;
}

Parser::Expr Parser::make(decltype(Expression::node) node,
                          std::initializer_list<const Expression*> children) {
  return make(std::move(node), std::vector<const Expression*>(children));
}

Parser::Expr Parser::make(decltype(Expression::node) node,
                          const std::vector<const Expression*>& children) {
  size_t depth = 0;
  for (const Expression* child : children) {
    if (child != nullptr) depth = std::max(depth, child->depth);
  }
  if (depth >= nesting_limit_)
    return error(fmt::format("the expression is nested more than {} deep", nesting_limit_));
  program_->expressions.push_back({std::move(node), depth + 1});
  return &program_->expressions.back();
}

Result<void> Parser::Nesting::check() const {
  if (parser_.nesting_ <= parser_.nesting_limit_) return {};
  return parser_.error(fmt::format("more than {} levels of nesting", parser_.nesting_limit_));
}

}  // namespace spillway::formats::jinja
