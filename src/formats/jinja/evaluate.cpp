// The evaluator's expressions.
#include "formats/jinja/attributes.h"
#include "formats/jinja/compare.h"
#include "formats/jinja/evaluator.h"
#include "formats/jinja/filters.h"
#include "formats/jinja/functions.h"
#include "formats/jinja/print.h"
#include "formats/jinja/tests.h"

namespace spillway::formats::jinja {

Result<Value> Evaluator::evaluate(const Expression& expression) {
  const Runtime::Descent descent(runtime_);
  SPILLWAY_TRY(descent.check());
  SPILLWAY_TRY(runtime_.step());
  return std::visit([this](const auto& node) { return eval(node); }, expression.node);
}

Result<Value> Evaluator::eval(const Literal& node) {
  return node.value;
}

Result<Value> Evaluator::eval(const Variable& node) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    const auto it = scope->variables.find(node.name);
    if (it != scope->variables.end()) return it->second;
  }
  const std::string& name = program_.names[node.name];
  if (const Function* function = find_function(name))
    return Value(std::make_shared<const Callable>(Callable{function}));
  return undefined(quote(name) + " is undefined");
}

Result<Value> Evaluator::eval(const ListDisplay& node) {
  std::vector<Value> items;
  for (const Expression* item : node.items) {
    SPILLWAY_ASSIGN(Value value, evaluate(*item));
    items.push_back(std::move(value));
  }
  return runtime_.sequence(std::move(items),
                           node.tuple ? SequenceKind::kTuple : SequenceKind::kList);
}

Result<Value> Evaluator::eval(const DictDisplay& node) {
  Dict dict;
  for (const auto& [key_node, value_node] : node.entries) {
    SPILLWAY_ASSIGN(Value key, evaluate(*key_node));
    SPILLWAY_ASSIGN(Value value, evaluate(*value_node));
    auto identity = key_identity(key);
    if (!identity) return fail(ErrorCode::kBadFile, "unhashable type: '{}'", type_name(key));
    SPILLWAY_TRY(runtime_.make(identity->size()));
    dict.set(std::move(*identity), std::move(key), std::move(value));
  }
  return runtime_.dict(std::move(dict));
}

Result<Value> Evaluator::eval(const GetAttribute& node) {
  SPILLWAY_ASSIGN(const Value object, evaluate(*node.object));
  return get_attribute(runtime_, object, node.name);
}

Result<Value> Evaluator::eval(const GetItem& node) {
  SPILLWAY_ASSIGN(const Value object, evaluate(*node.object));
  SPILLWAY_ASSIGN(const Value key, evaluate(*node.key));
  return get_item(runtime_, object, key);
}

Result<Value> Evaluator::eval(const GetSlice& node) {
  SPILLWAY_ASSIGN(const Value object, evaluate(*node.object));
  SliceParts parts;
  if (node.start != nullptr) {
    SPILLWAY_ASSIGN(parts.start, evaluate(*node.start));
  }
  if (node.stop != nullptr) {
    SPILLWAY_ASSIGN(parts.stop, evaluate(*node.stop));
  }
  if (node.step != nullptr) {
    SPILLWAY_ASSIGN(parts.step, evaluate(*node.step));
  }
  return get_slice(runtime_, object, parts);
}

Result<Value> Evaluator::eval(const Call& node) {
  return evaluate_call(node, nullptr);
}

Result<Value> Evaluator::eval(const ApplyFilter& node) {
  Value input = captured_;
  if (node.input != nullptr) {
    SPILLWAY_ASSIGN(input, evaluate(*node.input));
  }
  const Filter* filter = find_filter(node.name);
  if (filter == nullptr) return fail(ErrorCode::kBadFile, "no filter named {}", quote(node.name));
  SPILLWAY_ASSIGN(const Arguments arguments, evaluate_arguments(node.arguments));
  return apply_filter(runtime_, *filter, input, arguments);
}

Result<Value> Evaluator::eval(const ApplyTest& node) {
  SPILLWAY_ASSIGN(const Value input, evaluate(*node.input));
  const Test* test = find_test(node.name);
  if (test == nullptr) return fail(ErrorCode::kBadFile, "no test named {}", quote(node.name));
  SPILLWAY_ASSIGN(const Arguments arguments, evaluate_arguments(node.arguments));
  SPILLWAY_ASSIGN(const bool result, apply_test(runtime_, *test, input, arguments));
  return Value(result);
}

Result<Value> Evaluator::eval(const Not& node) {
  SPILLWAY_ASSIGN(const Value operand, evaluate(*node.operand));
  return Value(!is_truthy(operand));
}

Result<Value> Evaluator::eval(const Negate& node) {
  SPILLWAY_ASSIGN(const Value operand, evaluate(*node.operand));
  return negate(operand);
}

Result<Value> Evaluator::eval(const Positive& node) {
  SPILLWAY_ASSIGN(const Value operand, evaluate(*node.operand));
  if (operand.is<double>()) return operand;
  if (const auto integer = operand.integer()) return Value(*integer);
  SPILLWAY_TRY(require_defined(operand));
  return fail(ErrorCode::kBadFile, "bad operand type for unary +: '{}'", type_name(operand));
}

Result<Value> Evaluator::eval(const Binary& node) {
  SPILLWAY_ASSIGN(const Value left, evaluate(*node.left));
  SPILLWAY_ASSIGN(const Value right, evaluate(*node.right));
  return apply(runtime_, node.op, left, right);
}

Result<Value> Evaluator::eval(const Logical& node) {
  SPILLWAY_ASSIGN(Value left, evaluate(*node.left));
  if (is_truthy(left) != node.is_and) return left;
  return evaluate(*node.right);
}

Result<Value> Evaluator::eval(const Compare& node) {
  SPILLWAY_ASSIGN(Value left, evaluate(*node.first));
  for (const auto& [comparison, operand] : node.rest) {
    SPILLWAY_ASSIGN(Value right, evaluate(*operand));
    SPILLWAY_ASSIGN(const bool holds, compare(comparison, left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<bool> Evaluator::compare(Comparison comparison, const Value& value, const Value& other) {
  const auto negation = [](bool result) { return !result; };
  switch (comparison) {
    case Comparison::kEqual:
      return equal(runtime_, value, other);
    case Comparison::kNotEqual:
      return equal(runtime_, value, other).map(negation);
    case Comparison::kLess:
      return less(runtime_, value, other);
    case Comparison::kLessEqual:
      return less_or_equal(runtime_, value, other);
    case Comparison::kGreater:
      return less(runtime_, other, value);
    case Comparison::kGreaterEqual:
      return less_or_equal(runtime_, other, value);
    case Comparison::kIn:
      return contains(runtime_, other, value);
    case Comparison::kNotIn:
      return contains(runtime_, other, value).map(negation);
  }
  return false;
}

Result<Value> Evaluator::eval(const Concatenate& node) {
  std::string out;
  for (const Expression* part : node.parts) {
    SPILLWAY_ASSIGN(const Value value, evaluate(*part));
    SPILLWAY_ASSIGN(const std::string text, to_text(runtime_, value));
    SPILLWAY_TRY(runtime_.make(out.size() + text.size()));
    out += text;
  }
  return runtime_.text(std::move(out));
}

Result<Value> Evaluator::eval(const Conditional& node) {
  SPILLWAY_ASSIGN(const Value condition, evaluate(*node.condition));
  if (is_truthy(condition)) return evaluate(*node.then);
  if (node.otherwise != nullptr) return evaluate(*node.otherwise);
  return undefined("the inline if-expression evaluated to false and has no else");
}

Result<Value> Evaluator::evaluate_call(const Call& node, const Value* caller) {
  SPILLWAY_ASSIGN(const Value callee, evaluate(*node.callee));
  SPILLWAY_ASSIGN(Arguments arguments, evaluate_arguments(node.arguments));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return call(callee, arguments);
}

Result<Arguments> Evaluator::evaluate_arguments(const CallArguments& nodes) {
  Arguments arguments;
  for (const Expression* node : nodes.positional) {
    SPILLWAY_ASSIGN(Value value, evaluate(*node));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, node] : nodes.named) {
    SPILLWAY_ASSIGN(Value value, evaluate(*node));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (nodes.more_positional != nullptr) {
    SPILLWAY_ASSIGN(const Value more, evaluate(*nodes.more_positional));
    SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime_, more));
    SPILLWAY_TRY(runtime_.make(items->items.size() * sizeof(Value)));
    arguments.positional.insert(arguments.positional.end(), items->items.begin(),
                                items->items.end());
  }
  if (nodes.more_named != nullptr) {
    SPILLWAY_ASSIGN(const Value more, evaluate(*nodes.more_named));
    if (more.dict() == nullptr)
      return fail(ErrorCode::kBadFile, "the argument after ** must be a mapping, not {}",
                  type_name(more));
    for (const auto& [key, value] : more.dict()->entries()) {
      if (key.text() == nullptr) return fail(ErrorCode::kBadFile, "keywords must be strings");
      SPILLWAY_TRY(runtime_.make(key.text()->size()));
      arguments.named.emplace_back(*key.text(), value);
    }
  }
  return arguments;
}

Result<Value> Evaluator::filter_captured(const Expression* filter, std::string text) {
  SPILLWAY_ASSIGN(Value value, runtime_.text(std::move(text)));
  if (filter == nullptr) return value;
  Value saved = std::exchange(captured_, std::move(value));
  auto result = evaluate(*filter);
  captured_ = std::move(saved);
  return result;
}

}  // namespace spillway::formats::jinja
