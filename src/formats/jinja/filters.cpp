#include "formats/jinja/filters.h"

namespace spillway::formats::jinja {
const Filter* find_filter(std::string_view name) {
  for (const auto& table : {kTextFilters, kValueFilters, kSequenceFilters, kSelectFilters}) {
    for (const Filter& filter : table) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

Result<Value> apply_filter(Runtime& runtime, const Filter& filter, const Value& input,
                           const Arguments& arguments) {
  SPILLWAY_TRY(charge(runtime, input));
  auto result = filter.apply(runtime, input, arguments);
  if (result) return result;
  return fail_within(filter.name, std::move(result).error());
}

}  // namespace spillway::formats::jinja
