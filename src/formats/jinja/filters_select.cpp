// Filters that apply filters and tests to elements, and those that cut sequences into groups.
#include <algorithm>

#include "formats/jinja/attributes.h"
#include "formats/jinja/compare.h"
#include "formats/jinja/filters.h"
#include "formats/jinja/print.h"
#include "formats/jinja/signature.h"
#include "formats/jinja/tests.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

// The name of the filter or test that `arguments` begin with, and what is left for it.
Result<std::string> take_first(Arguments& arguments, std::string_view what) {
  if (arguments.positional.empty() || arguments.positional[0].text() == nullptr)
    return fail(ErrorCode::kBadFile, "needs the name of {}", what);
  std::string name = *arguments.positional[0].text();
  arguments.positional.erase(arguments.positional.begin());
  return name;
}

Result<Value> map_attribute(Runtime& runtime, const Value& item, const Bound& bound) {
  SPILLWAY_ASSIGN(Value value, get_path(runtime, item, *bound.at(0)));
  const Value* otherwise = bound.at(1);
  if (value.is_undefined() && otherwise != nullptr && !otherwise->is_none()) return *otherwise;
  return value;
}

Result<Value> filter_map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  std::vector<Value> mapped;
  if (!is_truthy(input)) return runtime.sequence({}, SequenceKind::kGenerator);
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  if (arguments.positional.empty() && !arguments.named.empty()) {
    SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"attribute", "default"}, 1));
    for (const Value& item : items->items) {
      SPILLWAY_ASSIGN(Value value, map_attribute(runtime, item, bound));
      mapped.push_back(std::move(value));
    }
    return runtime.sequence(std::move(mapped), SequenceKind::kGenerator);
  }
  Arguments rest = arguments;
  SPILLWAY_ASSIGN(const std::string name, take_first(rest, "a filter"));
  const Filter* filter = find_filter(name);
  if (filter == nullptr) return fail(ErrorCode::kBadFile, "no filter named {}", quote(name));
  const Runtime::Descent descent(runtime);
  SPILLWAY_TRY(descent.check());
  for (const Value& item : items->items) {
    SPILLWAY_ASSIGN(Value value, apply_filter(runtime, *filter, item, rest));
    mapped.push_back(std::move(value));
  }
  return runtime.sequence(std::move(mapped), SequenceKind::kGenerator);
}

// Keeps the elements for which the test (or, without one, the element) is `wanted`.
template <bool by_attribute, bool wanted>
Result<Value> filter_select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!is_truthy(input)) return runtime.sequence({}, SequenceKind::kGenerator);
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  Arguments rest = arguments;
  Value attribute = Value(None{});
  if (by_attribute) {
    if (rest.positional.empty()) return fail(ErrorCode::kBadFile, "needs an attribute's name");
    attribute = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  const Test* test = nullptr;
  if (!rest.positional.empty()) {
    SPILLWAY_ASSIGN(const std::string name, take_first(rest, "a test"));
    test = find_test(name);
    if (test == nullptr) return fail(ErrorCode::kBadFile, "no test named {}", quote(name));
  }
  std::vector<Value> selected;
  for (const Value& item : items->items) {
    SPILLWAY_ASSIGN(const Value value, get_path(runtime, item, attribute));
    SPILLWAY_ASSIGN(const bool holds, test == nullptr ? Result<bool>(is_truthy(value))
                                                      : apply_test(runtime, *test, value, rest));
    if (holds == wanted) selected.push_back(item);
  }
  return runtime.sequence(std::move(selected), SequenceKind::kGenerator);
}

// Python's None for "no filling" is also what is used when nothing is given.
const Value* filling(const Bound& bound) {
  return bound.at(1) == nullptr || bound.at(1)->is_none() ? nullptr : bound.at(1);
}

Result<Value> filter_batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"linecount", "fill_with"}, 1));
  SPILLWAY_ASSIGN(const int64_t count, bound.integer(0, 1));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  if (count < 1) return fail(ErrorCode::kBadFile, "a batch must have at least one element");
  const auto size = static_cast<size_t>(count);
  std::vector<Value> batches;
  for (size_t at = 0; at < items->items.size(); at += std::min(size, items->items.size() - at)) {
    const size_t end = at + std::min(size, items->items.size() - at);
    std::vector<Value> batch(items->items.begin() + static_cast<ptrdiff_t>(at),
                             items->items.begin() + static_cast<ptrdiff_t>(end));
    if (const Value* fill = filling(bound)) {
      SPILLWAY_TRY(runtime.step(size));
      batch.resize(size, *fill);
    }
    SPILLWAY_ASSIGN(Value list, runtime.sequence(std::move(batch)));
    batches.push_back(std::move(list));
  }
  return runtime.sequence(std::move(batches), SequenceKind::kGenerator);
}

Result<Value> filter_slice(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"slices", "fill_with"}, 1));
  SPILLWAY_ASSIGN(const int64_t count, bound.integer(0, 1));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  if (count < 1) return fail(ErrorCode::kBadFile, "there must be at least one slice");
  const auto slices = static_cast<size_t>(count);
  SPILLWAY_TRY(runtime.step(slices));
  const size_t least = items->items.size() / slices;
  const size_t longer = items->items.size() % slices;
  std::vector<Value> out;
  auto at = items->items.begin();
  for (size_t i = 0; i < slices; ++i) {
    const auto end = at + static_cast<ptrdiff_t>(least + (i < longer ? 1 : 0));
    std::vector<Value> slice(at, end);
    at = end;
    if (const Value* fill = filling(bound); fill != nullptr && i >= longer) slice.push_back(*fill);
    SPILLWAY_ASSIGN(Value list, runtime.sequence(std::move(slice)));
    out.push_back(std::move(list));
  }
  return runtime.sequence(std::move(out), SequenceKind::kGenerator);
}

struct GroupKeys {
  std::vector<Value> sorting, shown;
};

Result<GroupKeys> group_keys(Runtime& runtime, const std::vector<Value>& items,
                             const Bound& bound) {
  GroupKeys keys;
  const Bound path = bound;
  for (const Value& item : items) {
    SPILLWAY_ASSIGN(Value key, map_attribute(runtime, item, path));
    keys.shown.push_back(key);
    if (!bound.flag(2, false) && key.text() != nullptr) {
      SPILLWAY_ASSIGN(key, runtime.text(to_lower(*key.text())));
    }
    keys.sorting.push_back(std::move(key));
  }
  return keys;
}

Result<Value> filter_groupby(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound,
                  Bound::bind(arguments, {"attribute", "default", "case_sensitive"}, 1));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  SPILLWAY_ASSIGN(const GroupKeys keys, group_keys(runtime, items->items, bound));
  SPILLWAY_ASSIGN(const auto order, sorted_order(runtime, keys.sorting, false));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    std::vector<Value> members;
    for (; end < order.size(); ++end) {
      SPILLWAY_ASSIGN(const bool same,
                      equal(runtime, keys.sorting[order[begin]], keys.sorting[order[end]]));
      if (!same && end > begin) break;
      members.push_back(items->items[order[end]]);
    }
    SPILLWAY_ASSIGN(Value list, runtime.sequence(std::move(members)));
    SPILLWAY_ASSIGN(Value group, runtime.sequence({keys.shown[order[begin]], std::move(list)},
                                                  SequenceKind::kGroup));
    groups.push_back(std::move(group));
    begin = end;
  }
  return runtime.sequence(std::move(groups));
}

constexpr Filter kSelectTable[] = {
    {"map", filter_map},
    {"select", filter_select<false, true>},
    {"reject", filter_select<false, false>},
    {"selectattr", filter_select<true, true>},
    {"rejectattr", filter_select<true, false>},
    {"batch", filter_batch},
    {"slice", filter_slice},
    {"groupby", filter_groupby},
};

}  // namespace

const std::span<const Filter> kSelectFilters = kSelectTable;

}  // namespace spillway::formats::jinja
