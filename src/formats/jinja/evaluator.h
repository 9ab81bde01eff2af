// Walks a Program and writes what it renders. Variables live in scopes, found through their
// parents; a scope that a macro closes over is kept until the end. One render, one thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "formats/jinja/ast.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

struct Scope {
  Scope* parent = nullptr;
  bool captured = false;  // a macro or a recursive loop may still look into it
  std::unordered_map<Name, Value> variables;
};

class Evaluator {
 public:
  Evaluator(const Program& program, Runtime& runtime) : program_(program), runtime_(runtime) {}

  void set_variable(Name name, Value value) { root_.variables[name] = std::move(value); }
  Result<std::string> render();

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  class ScopeGuard;
  class OutputGuard;
  struct Captured {
    Flow flow;
    std::string text;
  };

  // Statements (execute.cpp).
  Result<Flow> execute(const Body& body);
  Result<Flow> execute_in_scope(const Body& body);
  Result<Captured> capture(const Body& body);
  Result<Flow> run(const OutputText& statement);
  Result<Flow> run(const OutputExpression& statement);
  Result<Flow> run(const IfStatement& statement);
  Result<Flow> run(const ForStatement& statement);
  Result<Flow> run(const SetStatement& statement);
  Result<Flow> run(const SetBlock& statement);
  Result<Flow> run(const MacroStatement& statement);
  Result<Flow> run(const CallBlock& statement);
  Result<Flow> run(const FilterBlock& statement);
  Result<Flow> run(const WithStatement& statement);
  Result<Flow> run(const BreakStatement& statement);
  Result<Flow> run(const ContinueStatement& statement);
  Result<void> emit(std::string_view text);
  Result<void> assign(const Target& target, const Value& value);

  // Loops, macros and calls (calls.cpp).
  Result<Flow> loop(const ForStatement& statement, const Value& iterable, size_t depth0);
  Result<SequencePtr> loop_items(const ForStatement& statement, const Value& iterable);
  Result<Value> call(const Value& callee, const Arguments& arguments);
  Result<Value> call_loop(const LoopPtr& loop, const Arguments& arguments);
  Result<Value> call_macro(const Macro& macro, const Arguments& arguments);
  Result<void> bind_macro(const MacroDefinition& definition, const Arguments& arguments);
  Result<Value> make_macro(const MacroDefinition& definition);
  void keep(Scope* scope);

  // Expressions (evaluate.cpp).
  Result<Value> evaluate(const Expression& expression);
  Result<Value> eval(const Literal& node);
  Result<Value> eval(const Variable& node);
  Result<Value> eval(const ListDisplay& node);
  Result<Value> eval(const DictDisplay& node);
  Result<Value> eval(const GetAttribute& node);
  Result<Value> eval(const GetItem& node);
  Result<Value> eval(const GetSlice& node);
  Result<Value> eval(const Call& node);
  Result<Value> eval(const ApplyFilter& node);
  Result<Value> eval(const ApplyTest& node);
  Result<Value> eval(const Not& node);
  Result<Value> eval(const Negate& node);
  Result<Value> eval(const Positive& node);
  Result<Value> eval(const Binary& node);
  Result<Value> eval(const Logical& node);
  Result<Value> eval(const Compare& node);
  Result<Value> eval(const Concatenate& node);
  Result<Value> eval(const Conditional& node);
  Result<bool> compare(Comparison comparison, const Value& value, const Value& other);
  Result<Value> evaluate_call(const Call& node, const Value* caller);
  Result<Arguments> evaluate_arguments(const CallArguments& arguments);
  Result<Value> filter_captured(const Expression* filter, std::string text);

  const Program& program_;
  Runtime& runtime_;
  Scope root_;
  Scope* scope_ = &root_;
  std::vector<std::unique_ptr<Scope>> kept_;
  std::string output_;
  std::string* out_ = &output_;
  Value captured_;        // the input of a filter without one
  bool located_ = false;  // the error on its way out names its line
};

// A new scope within `parent`, current for as long as it lives.
class Evaluator::ScopeGuard {
 public:
  ScopeGuard(Evaluator& evaluator, Scope* parent)
      : evaluator_(evaluator), saved_(evaluator.scope_), scope_(std::make_unique<Scope>()) {
    scope_->parent = parent;
    evaluator_.scope_ = scope_.get();
  }
  ~ScopeGuard() {
    evaluator_.scope_ = saved_;
    if (scope_->captured) evaluator_.kept_.push_back(std::move(scope_));
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Evaluator& evaluator_;
  Scope* saved_;
  std::unique_ptr<Scope> scope_;
};

// Sends output to `text` for as long as it lives.
class Evaluator::OutputGuard {
 public:
  OutputGuard(Evaluator& evaluator, std::string& text)
      : evaluator_(evaluator), saved_(evaluator.out_) {
    evaluator_.out_ = &text;
  }
  ~OutputGuard() { evaluator_.out_ = saved_; }
  OutputGuard(const OutputGuard&) = delete;
  OutputGuard& operator=(const OutputGuard&) = delete;

 private:
  Evaluator& evaluator_;
  std::string* saved_;
};

}  // namespace spillway::formats::jinja
