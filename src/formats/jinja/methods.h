// The methods of strings, dictionaries, lists, tuples and loops that templates may call: those that
// change nothing but what a loop remembers. Constant tables; any thread.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

struct Method {
  std::string_view name;
  Result<Value> (*call)(Runtime& runtime, const Value& self, const Arguments& arguments);
};

extern const std::span<const Method> kTextMethods;
extern const std::span<const Method> kDictMethods;
extern const std::span<const Method> kListMethods;
extern const std::span<const Method> kLoopMethods;

// Null if values of this type have no such method.
const Method* find_method(const Value& self, std::string_view name);

}  // namespace spillway::formats::jinja
