// The functions that every template may call: range, dict, namespace, raise_exception,
// strftime_now. A constant table; any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

struct Function {
  std::string_view name;
  Result<Value> (*call)(Runtime& runtime, const Arguments& arguments);
};

const Function* find_function(std::string_view name);  // null if there is none

}  // namespace spillway::formats::jinja
