// The operators of Python on values: + - * / // % ** and unary minus. One render, one thread.
#pragma once

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

enum class Operator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };

// Integers have 64 bits here; what would not fit fails, where Python goes on.
Result<Value> apply(Runtime& runtime, Operator op, const Value& left, const Value& right);
Result<Value> negate(const Value& value);

// text % values (percent_format.cpp): a tuple gives its elements, a dictionary is asked by name.
Result<std::string> percent_format(Runtime& runtime, const std::string& format,
                                   const Value& values);
// & < > " ' as character references.
std::string escape_markup(std::string_view text);

}  // namespace spillway::formats::jinja
