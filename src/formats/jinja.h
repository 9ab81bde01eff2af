// Jinja, as chat templates use it: a lexer, a parser and an evaluator with limits. Renders byte for
// byte what Python's jinja2 does with ImmutableSandboxedEnvironment(trim_blocks=True,
// lstrip_blocks=True) and Hugging Face's additions (raise_exception, strftime_now, tojson).
// Templates are untrusted: no access to anything but the variables given. Integers have 64 bits;
// import, include, extends and block are not there. A Template is immutable; const members are
// thread-safe.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::formats {

struct JinjaLimits {
  size_t source_bytes = 1 << 20;
  size_t nesting = 200;         // of expressions, blocks and values; of evaluation four times that
  uint64_t steps = 10'000'000;  // evaluated nodes, elements, and texts by 64 bytes
  size_t output_bytes = 64 << 20;  // of the result and of every value; of all made four times that
};

class JinjaTemplate {
 public:
  // kBadFile with the line and what was expected.
  static Result<JinjaTemplate> parse(std::string_view source, JinjaLimits limits = {});
  JinjaTemplate(JinjaTemplate&&) noexcept;
  JinjaTemplate& operator=(JinjaTemplate&&) noexcept;
  ~JinjaTemplate();

  // `variables` is an object: messages, tools, add_generation_prompt, bos_token …; `now` feeds
  // strftime_now. kUsage: the template called raise_exception (its text is the message); kBadFile:
  // it failed or hit a limit.
  Result<std::string> render(const nlohmann::ordered_json& variables, std::tm now) const;

 private:
  struct State;
  explicit JinjaTemplate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spillway::formats
