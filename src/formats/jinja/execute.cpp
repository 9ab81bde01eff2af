// The evaluator's statements.
#include "formats/jinja/attributes.h"
#include "formats/jinja/evaluator.h"
#include "formats/jinja/print.h"

namespace spillway::formats::jinja {

Result<std::string> Evaluator::render() {
  const ScopeGuard scope(*this, &root_);
  SPILLWAY_TRY(execute(program_.body));
  return std::move(output_);
}

Result<Evaluator::Flow> Evaluator::execute(const Body& body) {
  const Runtime::Descent descent(runtime_);
  SPILLWAY_TRY(descent.check());
  for (const Statement* statement : body) {
    SPILLWAY_TRY(runtime_.step());
    auto flow = std::visit([this](const auto& node) { return run(node); }, statement->node);
    if (!flow) {
      // What the template itself says (kUsage) is for the user as it stands.
      if (std::exchange(located_, true) || flow.error().code == ErrorCode::kUsage) return flow;
      return fail_within(fmt::format("line {}", statement->line), std::move(flow).error());
    }
    if (*flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::execute_in_scope(const Body& body) {
  const ScopeGuard scope(*this, scope_);
  return execute(body);
}

Result<Evaluator::Captured> Evaluator::capture(const Body& body) {
  std::string text;
  const OutputGuard output(*this, text);
  SPILLWAY_ASSIGN(const Flow flow, execute_in_scope(body));
  return Captured{flow, std::move(text)};
}

Result<void> Evaluator::emit(std::string_view text) {
  SPILLWAY_TRY(runtime_.make(text.size()));
  *out_ += text;
  if (out_->size() <= runtime_.limits().output_bytes) return {};
  return fail(ErrorCode::kBadFile, "the output is longer than {} bytes",
              runtime_.limits().output_bytes);
}

Result<void> Evaluator::assign(const Target& target, const Value& value) {
  if (target.tuple) {
    SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime_, value));
    if (items->items.size() != target.elements.size())
      return fail(ErrorCode::kBadFile, "cannot unpack {} values into {} names", items->items.size(),
                  target.elements.size());
    for (size_t i = 0; i < target.elements.size(); ++i)
      SPILLWAY_TRY(assign(target.elements[i], items->items[i]));
    return {};
  }
  if (target.attribute.empty()) {
    scope_->variables[target.name] = value;
    return {};
  }
  SPILLWAY_ASSIGN(const Value object, eval(Variable{target.name}));
  Namespace* const* space = object.get<Namespace*>();
  if (space == nullptr)
    return fail(ErrorCode::kBadFile, "cannot assign attribute on non-namespace object {}",
                quote(program_.names[target.name]));
  SPILLWAY_TRY(runtime_.step((*space)->attributes.size() / 16));
  for (auto& [name, attribute] : (*space)->attributes) {
    if (name != target.attribute) continue;
    attribute = value;
    return {};
  }
  SPILLWAY_TRY(runtime_.make(target.attribute.size() + sizeof(Value)));
  (*space)->attributes.emplace_back(target.attribute, value);
  return {};
}

Result<Evaluator::Flow> Evaluator::run(const OutputText& statement) {
  SPILLWAY_TRY(emit(statement.text));
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::run(const OutputExpression& statement) {
  SPILLWAY_ASSIGN(const Value value, evaluate(*statement.expression));
  if (const std::string* text = value.text()) {
    SPILLWAY_TRY(emit(*text));
  } else {
    SPILLWAY_ASSIGN(const std::string printed, to_text(runtime_, value));
    SPILLWAY_TRY(emit(printed));
  }
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::run(const IfStatement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    SPILLWAY_ASSIGN(const Value value, evaluate(*condition));
    if (is_truthy(value)) return execute(body);
  }
  return execute(statement.otherwise);
}

Result<Evaluator::Flow> Evaluator::run(const ForStatement& statement) {
  SPILLWAY_ASSIGN(const Value iterable, evaluate(*statement.iterable));
  return loop(statement, iterable, 0);
}

Result<Evaluator::Flow> Evaluator::run(const SetStatement& statement) {
  SPILLWAY_ASSIGN(const Value value, evaluate(*statement.value));
  SPILLWAY_TRY(assign(statement.target, value));
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::run(const SetBlock& statement) {
  SPILLWAY_ASSIGN(Captured captured, capture(statement.body));
  if (captured.flow != Flow::kNormal) return captured.flow;
  SPILLWAY_ASSIGN(const Value value, filter_captured(statement.filter, std::move(captured.text)));
  SPILLWAY_TRY(assign(statement.target, value));
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::run(const MacroStatement& statement) {
  SPILLWAY_ASSIGN(scope_->variables[statement.name], make_macro(statement.definition));
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::run(const CallBlock& statement) {
  SPILLWAY_ASSIGN(const Value caller, make_macro(statement.body));
  SPILLWAY_ASSIGN(const Value value, evaluate_call(*statement.call, &caller));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime_, value));
  SPILLWAY_TRY(emit(text));
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::run(const FilterBlock& statement) {
  SPILLWAY_ASSIGN(Captured captured, capture(statement.body));
  if (captured.flow != Flow::kNormal) return captured.flow;
  SPILLWAY_ASSIGN(const Value value, filter_captured(statement.filter, std::move(captured.text)));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime_, value));
  SPILLWAY_TRY(emit(text));
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::run(const WithStatement& statement) {
  std::vector<Value> values;
  for (const auto& assignment : statement.assignments) {
    SPILLWAY_ASSIGN(Value value, evaluate(*assignment.second));
    values.push_back(std::move(value));
  }
  const ScopeGuard scope(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i)
    SPILLWAY_TRY(assign(statement.assignments[i].first, values[i]));
  return execute(statement.body);
}

Result<Evaluator::Flow> Evaluator::run(const BreakStatement&) {
  return Flow::kBreak;
}

Result<Evaluator::Flow> Evaluator::run(const ContinueStatement&) {
  return Flow::kContinue;
}

}  // namespace spillway::formats::jinja
