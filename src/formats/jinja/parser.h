// Tokens into a Program. Follows jinja2's grammar, precedences included. The public part is
// parse_program; the class is split over parse_expressions.cpp and parse_statements.cpp. One
// thread.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/jinja/ast.h"
#include "formats/jinja/lexer.h"

namespace spillway::formats::jinja {

// `nesting` bounds the depth of expressions and of blocks.
Result<std::unique_ptr<Program>> parse_program(std::vector<Token> tokens, size_t nesting);

class Parser {
 public:
  Parser(std::vector<Token> tokens, size_t nesting);
  Result<std::unique_ptr<Program>> parse();

 private:
  using Expr = Result<const Expression*>;
  using Stmt = Result<const Statement*>;

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void advance();
  bool at_operator(std::string_view text) const;
  bool at_name(std::string_view text) const;
  bool at_any_name(std::initializer_list<std::string_view> names) const;
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  Result<void> expect_operator(std::string_view text);
  Result<void> expect_name(std::string_view text);
  Result<void> expect(TokenKind kind, std::string_view what);
  Result<std::string> take_name();
  tl::unexpected<Error> expected(std::string_view what) const;
  tl::unexpected<Error> error(std::string_view what) const;

  // Nodes.
  Expr make(decltype(Expression::node) node, std::initializer_list<const Expression*> children);
  Expr make(decltype(Expression::node) node, const std::vector<const Expression*>& children);
  Name intern(const std::string& name);
  class Nesting;

  // Expressions.
  Expr parse_expression(bool with_conditional = true);
  Expr parse_or();
  Expr parse_and();
  Expr parse_not();
  Expr parse_compare();
  Expr parse_sum();
  Expr parse_concat();
  Expr parse_product();
  Expr parse_power();
  Expr parse_unary(bool with_filter = true);
  Expr parse_primary();
  Expr parse_name();
  Expr parse_strings();
  Expr parse_number();
  Expr parse_tuple(bool with_conditional = true, bool parenthesized = false,
                   std::string_view end_name = {});
  bool at_tuple_end(std::string_view end_name) const;
  Expr parse_list();
  Expr parse_dict();
  Expr parse_postfix(const Expression* expression);
  Expr parse_filters_and_tests(const Expression* expression);
  Expr parse_attribute(const Expression* object);
  Expr parse_subscript(const Expression* object);
  Expr parse_slice(const Expression* object, const Expression* start);
  Expr parse_call(const Expression* callee);
  Expr parse_filter(const Expression* input);
  Expr parse_filter_chain(const Expression* input, bool first_without_pipe);
  Expr parse_test(const Expression* input);
  Result<CallArguments> parse_call_arguments();
  Result<void> parse_call_argument(CallArguments& arguments);

  // Statements.
  Result<Body> parse_body(std::initializer_list<std::string_view> end_names);
  Result<Body> parse_block(std::initializer_list<std::string_view> end_names);
  Stmt make_statement(decltype(Statement::node) node, size_t line);
  Stmt parse_statement();
  Stmt parse_if();
  Stmt parse_for();
  Stmt parse_set();
  Stmt parse_macro();
  Stmt parse_call_block();
  Stmt parse_filter_block();
  Stmt parse_with();
  Stmt parse_generation();
  Stmt parse_loop_control();
  Result<Target> parse_target(bool with_namespace, std::string_view end_name = {});
  Result<Target> parse_single_target(bool with_namespace);
  Result<void> parse_signature(MacroDefinition& macro);
  Result<void> parse_macro_body(MacroDefinition& macro,
                                std::initializer_list<std::string_view> end_names);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  const size_t nesting_limit_;
  size_t nesting_ = 0;
  size_t loops_ = 0;  // around the current statement, up to the next macro
  std::vector<MacroDefinition*> macros_;
  std::unique_ptr<Program> program_;
};

// One level of expressions or blocks, for as long as it lives.
class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : parser_(parser) { ++parser_.nesting_; }
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  Result<void> check() const;

 private:
  Parser& parser_;
};

}  // namespace spillway::formats::jinja
