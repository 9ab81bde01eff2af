// object.name, object[key] and object[start:stop:step], as jinja2's sandbox looks them up. One
// render, one thread.
#pragma once

#include <string>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

// Attributes and methods first, then keys.
Result<Value> get_attribute(Runtime& runtime, const Value& object, const std::string& name);
// Keys first, then attributes and methods.
Result<Value> get_item(Runtime& runtime, const Value& object, const Value& key);
// Parts that were left out are None.
struct SliceParts {
  Value start = Value(None{});
  Value stop = Value(None{});
  Value step = Value(None{});
};
Result<Value> get_slice(Runtime& runtime, const Value& object, const SliceParts& parts);
// "name", "a.b.0" or an integer, as the filters' parameter attribute has it.
Result<Value> get_path(Runtime& runtime, Value object, const Value& path);

}  // namespace spillway::formats::jinja
