// str() and repr() of values, byte for byte as Python prints them. One render, one thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

Result<std::string> to_text(Runtime& runtime, const Value& value);
Result<std::string> to_repr(Runtime& runtime, const Value& value);
// For messages: the text quoted as Python does.
std::string quote(std::string_view text);

}  // namespace spillway::formats::jinja
