#include "formats/jinja.h"

#include <nlohmann/json.hpp>

#include "formats/jinja/evaluator.h"
#include "formats/jinja/json.h"
#include "formats/jinja/lexer.h"
#include "formats/jinja/parser.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats {

struct JinjaTemplate::State {
  std::unique_ptr<const jinja::Program> program;
  JinjaLimits limits;
};

JinjaTemplate::JinjaTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
JinjaTemplate::JinjaTemplate(JinjaTemplate&&) noexcept = default;
JinjaTemplate& JinjaTemplate::operator=(JinjaTemplate&&) noexcept = default;
JinjaTemplate::~JinjaTemplate() = default;

Result<JinjaTemplate> JinjaTemplate::parse(std::string_view source, JinjaLimits limits) {
  if (source.size() > limits.source_bytes)
    return fail(ErrorCode::kBadFile, "the template has {} bytes, more than {}", source.size(),
                limits.source_bytes);
  SPILLWAY_ASSIGN(auto tokens, jinja::tokenize(source));
  SPILLWAY_ASSIGN(auto program, jinja::parse_program(std::move(tokens), limits.nesting));
  return JinjaTemplate(std::make_unique<State>(State{std::move(program), limits}));
}

Result<std::string> JinjaTemplate::render(const nlohmann::ordered_json& variables,
                                          std::tm now) const {
  if (!variables.is_object())
    return fail(ErrorCode::kBadFile, "the variables of a template must be a JSON object");
  // Outlives the evaluator, whose values point into it.
  jinja::Runtime runtime(state_->limits, now);
  jinja::Evaluator evaluator(*state_->program, runtime);
  for (const auto& [name, json] : variables.items()) {
    const auto known = state_->program->name_index.find(name);
    if (known == state_->program->name_index.end()) continue;
    auto value = jinja::from_json(runtime, json);
    if (!value) return fail_within(fmt::format("variable '{}'", name), std::move(value).error());
    evaluator.set_variable(known->second, std::move(*value));
  }
  return evaluator.render();
}

}  // namespace spillway::formats
