// The filters that chat templates use, jinja2's and Hugging Face's tojson. Constant tables; any
// thread.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

struct Filter {
  std::string_view name;
  Result<Value> (*apply)(Runtime& runtime, const Value& input, const Arguments& arguments);
};

extern const std::span<const Filter> kTextFilters;
extern const std::span<const Filter> kValueFilters;
extern const std::span<const Filter> kSequenceFilters;
extern const std::span<const Filter> kSelectFilters;

const Filter* find_filter(std::string_view name);  // null if there is none
// Errors name the filter.
Result<Value> apply_filter(Runtime& runtime, const Filter& filter, const Value& input,
                           const Arguments& arguments);

}  // namespace spillway::formats::jinja
