#include "formats/jinja/filters.h"

namespace spillway::formats::jinja {
namespace {

// What a filter reads at least once.
Result<void> charge(Runtime& runtime, const Value& value) {
  if (const std::string* text = value.text()) return runtime.scan(text->size());
  if (const Sequence* sequence = value.sequence()) return runtime.step(sequence->items.size());
  if (const Dict* dict = value.dict()) return runtime.step(dict->entries().size());
  return {};
}

}  // namespace

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
