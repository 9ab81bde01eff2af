// The syntax tree of a template. All nodes lie in the Program and point to each other, so that
// neither taking them down nor their number needs a deep stack; `depth` is bounded by the parser.
// Immutable once parsed; any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "formats/jinja/arithmetic.h"
#include "formats/jinja/value.h"

namespace spillway::formats::jinja {

struct Expression;
struct Statement;
using Body = std::vector<const Statement*>;
using Name = uint32_t;  // an index into Program::names

// Names that the evaluator itself sets.
inline constexpr Name kLoopName = 0;
inline constexpr Name kCallerName = 1;
inline constexpr Name kVarargsName = 2;
inline constexpr Name kKwargsName = 3;

struct CallArguments {
  std::vector<const Expression*> positional;
  std::vector<std::pair<std::string, const Expression*>> named;
  const Expression* more_positional = nullptr;  // *args
  const Expression* more_named = nullptr;       // **kwargs
};

struct Literal {
  Value value;
};
struct Variable {
  Name name;
};
struct ListDisplay {
  std::vector<const Expression*> items;
  bool tuple = false;
};
struct DictDisplay {
  std::vector<std::pair<const Expression*, const Expression*>> entries;
};
struct GetAttribute {
  const Expression* object;
  std::string name;
};
struct GetItem {
  const Expression* object;
  const Expression* key;
};
struct GetSlice {
  const Expression* object;
  const Expression *start, *stop, *step;  // null where left out
};
struct Call {
  const Expression* callee;
  CallArguments arguments;
};
struct ApplyFilter {
  const Expression* input;  // null: what the block or the set around it captured
  std::string name;
  CallArguments arguments;
};
struct ApplyTest {
  const Expression* input;
  std::string name;
  CallArguments arguments;
};
struct Not {
  const Expression* operand;
};
struct Negate {
  const Expression* operand;
};
struct Positive {
  const Expression* operand;
};
struct Binary {
  Operator op;
  const Expression *left, *right;
};
struct Logical {
  bool is_and;
  const Expression *left, *right;
};
enum class Comparison {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};
struct Compare {
  const Expression* first;
  std::vector<std::pair<Comparison, const Expression*>> rest;
};
struct Concatenate {
  std::vector<const Expression*> parts;
};
struct Conditional {
  const Expression *condition, *then, *otherwise;  // otherwise may be null
};

struct Expression {
  std::variant<Literal, Variable, ListDisplay, DictDisplay, GetAttribute, GetItem, GetSlice, Call,
               ApplyFilter, ApplyTest, Not, Negate, Positive, Binary, Logical, Compare, Concatenate,
               Conditional>
      node;
  size_t depth = 1;
};

// What a set or a for assigns to: one name, an attribute of a namespace, or several in a tuple.
struct Target {
  Name name = 0;
  std::string attribute;         // not empty: of the namespace `name`
  std::vector<Target> elements;  // not empty, or `tuple`: the others are unused
  bool tuple = false;
};

struct OutputText {
  std::string text;
};
struct OutputExpression {
  const Expression* expression;
};
struct IfStatement {
  std::vector<std::pair<const Expression*, Body>> branches;
  Body otherwise;
};
struct ForStatement {
  Target target;
  const Expression* iterable;
  const Expression* condition = nullptr;
  bool recursive = false;
  Body body, otherwise;
};
struct SetStatement {
  Target target;
  const Expression* value;
};
struct SetBlock {
  Target target;
  const Expression* filter = nullptr;
  Body body;
};
struct MacroDefinition {
  std::string name;                                            // empty: the body of a call block
  std::vector<std::pair<Name, const Expression*>> parameters;  // with their defaults, or null
  Body body;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};
struct MacroStatement {
  Name name;
  MacroDefinition definition;
};
struct CallBlock {
  const Call* call;
  MacroDefinition body;
};
struct FilterBlock {
  const Expression* filter;
  Body body;
};
struct WithStatement {
  std::vector<std::pair<Target, const Expression*>> assignments;
  Body body;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  std::variant<OutputText, OutputExpression, IfStatement, ForStatement, SetStatement, SetBlock,
               MacroStatement, CallBlock, FilterBlock, WithStatement, BreakStatement,
               ContinueStatement>
      node;
  size_t line = 1;
};

struct Program {
  Body body;
  std::vector<std::string> names;
  std::unordered_map<std::string, Name> name_index;
  std::deque<Expression> expressions;
  std::deque<Statement> statements;
};

}  // namespace spillway::formats::jinja
