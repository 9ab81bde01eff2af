// JSON in (the variables of a render) and out (the filter tojson, as Python's json.dumps writes).
// One render, one thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

Result<Value> from_json(Runtime& runtime, const nlohmann::ordered_json& json);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // one level's; nothing: all in one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace spillway::formats::jinja
