// The tests of `is`, as jinja2 has them. A constant table; any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

struct Test {
  std::string_view name;
  Result<bool> (*apply)(Runtime& runtime, const Value& input, const Arguments& arguments);
};

const Test* find_test(std::string_view name);  // null if there is none
// Errors name the test.
Result<bool> apply_test(Runtime& runtime, const Test& test, const Value& input,
                        const Arguments& arguments);

}  // namespace spillway::formats::jinja
