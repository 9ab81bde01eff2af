// The evaluator's loops, macros and calls.
#include <algorithm>

#include "formats/jinja/evaluator.h"
#include "formats/jinja/functions.h"
#include "formats/jinja/methods.h"
#include "formats/jinja/print.h"
#include "formats/jinja/signature.h"

namespace spillway::formats::jinja {
namespace {

// What a macro made in a loop holds, about: itself, and the scope of its iteration.
constexpr size_t kKeptBytes = 512;

}  // namespace

void Evaluator::keep(Scope* scope) {
  for (; scope != nullptr && !scope->captured; scope = scope->parent) scope->captured = true;
}

Result<SequencePtr> Evaluator::loop_items(const ForStatement& statement, const Value& iterable) {
  SPILLWAY_ASSIGN(SequencePtr items, iterate(runtime_, iterable));
  if (statement.condition == nullptr) return items;
  std::vector<Value> chosen;
  const ScopeGuard scope(*this, scope_);
  for (const Value& item : items->items) {
    SPILLWAY_TRY(assign(statement.target, item));
    SPILLWAY_ASSIGN(const Value keep, evaluate(*statement.condition));
    if (is_truthy(keep)) chosen.push_back(item);
  }
  SPILLWAY_ASSIGN(const Value list, runtime_.sequence(std::move(chosen)));
  return *list.get<SequencePtr>();
}

Result<Evaluator::Flow> Evaluator::loop(const ForStatement& statement, const Value& iterable,
                                        size_t depth0) {
  SPILLWAY_ASSIGN(const SequencePtr items, loop_items(statement, iterable));
  if (statement.recursive) keep(scope_);
  auto state = std::make_shared<LoopState>();
  state->statement = &statement;
  state->outer = scope_;
  state->items = items;
  state->depth0 = depth0;
  bool completed = false;
  for (size_t i = 0; i < items->items.size(); ++i) {
    SPILLWAY_TRY(runtime_.step());
    state->index0 = i;
    const ScopeGuard scope(*this, scope_);
    scope_->variables[kLoopName] = Value(state);
    SPILLWAY_TRY(assign(statement.target, items->items[i]));
    SPILLWAY_ASSIGN(const Flow flow, execute(statement.body));
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNormal;
  }
  // jinja2 goes by whether an iteration reached the end of the body, which Python does not.
  return completed ? Flow::kNormal : execute_in_scope(statement.otherwise);
}

Result<Value> Evaluator::call(const Value& callee, const Arguments& arguments) {
  if (const LoopPtr* loop = callee.get<LoopPtr>()) return call_loop(*loop, arguments);
  const CallablePtr* callable = callee.get<CallablePtr>();
  if (callable == nullptr) {
    SPILLWAY_TRY(require_defined(callee));
    return fail(ErrorCode::kBadFile, "'{}' object is not callable", type_name(callee));
  }
  const auto& target = (*callable)->target;
  if (const Macro* macro = std::get_if<Macro>(&target)) return call_macro(*macro, arguments);
  std::string_view name;
  Result<Value> result;
  if (const auto* method = std::get_if<BoundMethod>(&target)) {
    name = method->method->name;
    SPILLWAY_TRY(charge(runtime_, method->self));
    result = method->method->call(runtime_, method->self, arguments);
  } else {
    const Function* function = std::get<const Function*>(target);
    name = function->name;
    result = function->call(runtime_, arguments);
  }
  if (result || result.error().code == ErrorCode::kUsage) return result;
  return fail_within(name, std::move(result).error());
}

Result<Value> Evaluator::call_loop(const LoopPtr& loop_state, const Arguments& arguments) {
  if (!loop_state->statement->recursive)
    return fail(ErrorCode::kBadFile, "a loop that is called must be marked recursive");
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"iterable"}, 1));
  std::string text;
  const OutputGuard output(*this, text);
  const ScopeGuard scope(*this, loop_state->outer);
  SPILLWAY_TRY(loop(*loop_state->statement, *bound.at(0), loop_state->depth0 + 1));
  return runtime_.text(std::move(text));
}

Result<Value> Evaluator::make_macro(const MacroDefinition& definition) {
  SPILLWAY_TRY(runtime_.make(kKeptBytes));
  keep(scope_);
  return Value(std::make_shared<const Callable>(Callable{Macro{&definition, scope_}}));
}

Result<Value> Evaluator::call_macro(const Macro& macro, const Arguments& arguments) {
  const Runtime::Descent descent(runtime_);
  SPILLWAY_TRY(descent.check());
  std::string text;
  const OutputGuard output(*this, text);
  const ScopeGuard scope(*this, macro.closure);
  SPILLWAY_TRY(bind_macro(*macro.definition, arguments));
  SPILLWAY_TRY(execute(macro.definition->body));
  return runtime_.text(std::move(text));
}

// Puts the parameters into the current scope. `caller`, `varargs` and `kwargs` exist only in macros
// that mention them; others refuse what would have gone there.
Result<void> Evaluator::bind_macro(const MacroDefinition& definition, const Arguments& arguments) {
  const auto& parameters = definition.parameters;
  auto& variables = scope_->variables;
  std::vector<bool> used(arguments.named.size(), false);
  SPILLWAY_TRY(runtime_.step(parameters.size() * used.size() / 16));
  const auto take_named = [&](const std::string& name) -> const Value* {
    for (size_t i = 0; i < used.size(); ++i) {
      if (used[i] || arguments.named[i].first != name) continue;
      used[i] = true;
      return &arguments.named[i].second;
    }
    return nullptr;
  };
  const size_t given = arguments.positional.size();
  bool has_caller = false;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, otherwise] = parameters[i];
    has_caller = has_caller || name == kCallerName;
    const Value* value = i < given ? &arguments.positional[i] : take_named(program_.names[name]);
    if (value != nullptr) {
      variables[name] = *value;
    } else if (otherwise != nullptr) {
      SPILLWAY_ASSIGN(variables[name], evaluate(*otherwise));
    } else {
      variables[name] =
          undefined(fmt::format("parameter {} was not provided", quote(program_.names[name])));
    }
  }
  if (definition.uses_caller && !has_caller) {
    const Value* caller = take_named("caller");
    variables[kCallerName] = caller != nullptr ? *caller : undefined("No caller defined");
  }
  Dict rest;
  for (size_t i = 0; i < used.size(); ++i) {
    const auto& [name, value] = arguments.named[i];
    if (used[i]) continue;
    if (!definition.uses_kwargs)
      return fail(ErrorCode::kBadFile, "macro {} takes no keyword argument {}",
                  quote(definition.name), quote(name));
    SPILLWAY_ASSIGN(Value key, runtime_.text(name));
    rest.set(text_identity(name), std::move(key), value);
  }
  if (definition.uses_kwargs) {
    SPILLWAY_ASSIGN(variables[kKwargsName], runtime_.dict(std::move(rest)));
  }
  if (given > parameters.size() && !definition.uses_varargs)
    return fail(ErrorCode::kBadFile, "macro {} takes not more than {} argument(s)",
                quote(definition.name), parameters.size());
  if (!definition.uses_varargs) return {};
  std::vector<Value> more;
  for (size_t i = parameters.size(); i < given; ++i) more.push_back(arguments.positional[i]);
  SPILLWAY_ASSIGN(variables[kVarargsName],
                  runtime_.sequence(std::move(more), SequenceKind::kTuple));
  return {};
}

}  // namespace spillway::formats::jinja
