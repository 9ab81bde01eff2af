// Any bytes as a template, rendered with a conversation. Seeds: tests/fuzz/corpus/jinja; the
// templates of ../shared/data/templates make a good second corpus. Run with
//   build/fuzz/bin/fuzz_jinja -dict=tests/fuzz/jinja.dict -max_len=8192 CORPUS…
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/check.h"
#include "formats/jinja.h"

namespace {

using spillway::ErrorCode;
using spillway::formats::JinjaLimits;
using spillway::formats::JinjaTemplate;

constexpr JinjaLimits kLimits{.steps = 20'000, .output_bytes = size_t{1} << 16};

nlohmann::ordered_json make_variables() {
  return nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Grüße"},
      {"role": "assistant", "content": "<think>\nx\n</think>\n\ny", "tool_calls": [
        {"function": {"name": "f", "arguments": {"a": 1, "b": [2.5, null, true]}}}]},
      {"role": "tool", "content": "r"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true,
    "s": "hello", "n": 3, "f": 2.5, "t": true, "none_value": null, "l": [3, 1, 2], "e": [],
    "d": {"b": 1, "a": "x", "items": "own"}, "u": "Grüße 世界 👍",
    "people": [{"name": "Bo", "age": 5}, {"name": "al", "age": 3}]
  })");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const nlohmann::ordered_json kVariables = make_variables();
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = JinjaTemplate::parse(source, kLimits);
  if (!parsed) {
    SPILLWAY_CHECK(parsed.error().code == ErrorCode::kBadFile);
    return 0;
  }
  std::tm now{};
  now.tm_year = 124;
  now.tm_mday = 1;
  const auto first = parsed->render(kVariables, now);
  const auto second = parsed->render(kVariables, now);
  SPILLWAY_CHECK(first.has_value() == second.has_value());
  if (first) {
    SPILLWAY_CHECK(*first == *second);
    SPILLWAY_CHECK(first->size() <= kLimits.output_bytes);
  }
  return 0;
}
