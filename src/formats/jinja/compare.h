// Equality, order, membership and sorting of values, as Python defines them. One render, one
// thread.
#pragma once

#include <vector>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

Result<bool> equal(Runtime& runtime, const Value& left, const Value& right);
// Fails where Python raises TypeError: numbers order with numbers, strings with strings, lists and
// tuples with their kind.
Result<bool> less(Runtime& runtime, const Value& left, const Value& right);
Result<bool> less_or_equal(Runtime& runtime, const Value& left, const Value& right);
Result<bool> contains(Runtime& runtime, const Value& container, const Value& item);
// The indices of `keys` in the stable order of their values.
Result<std::vector<size_t>> sorted_order(Runtime& runtime, const std::vector<Value>& keys,
                                         bool reverse);

}  // namespace spillway::formats::jinja
