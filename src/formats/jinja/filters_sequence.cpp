// Filters of sequences and dictionaries.
#include <algorithm>
#include <unordered_set>

#include "formats/jinja/arithmetic.h"
#include "formats/jinja/attributes.h"
#include "formats/jinja/compare.h"
#include "formats/jinja/filters.h"
#include "formats/jinja/print.h"
#include "formats/jinja/signature.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

Result<Value> filter_list(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  return runtime.sequence(items->items);
}

Result<Value> filter_first(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  if (items->items.empty()) return undefined("No first item, sequence was empty.");
  return items->items.front();
}

Result<void> require_reversible(const Value& input) {
  if (input.sequence() == nullptr || input.sequence()->kind != SequenceKind::kGenerator) return {};
  return fail(ErrorCode::kBadFile, "'generator' object is not reversible");
}

Result<Value> filter_last(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_TRY(require_reversible(input));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  if (items->items.empty()) return undefined("No last item, sequence was empty.");
  return items->items.back();
}

Result<Value> filter_reverse(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  if (input.text() != nullptr) {
    SliceParts backwards;
    backwards.step = Value(int64_t{-1});
    return get_slice(runtime, input, backwards);
  }
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  std::vector<Value> reversed(items->items.rbegin(), items->items.rend());
  const bool generator =
      input.sequence() != nullptr && input.sequence()->kind == SequenceKind::kGenerator;
  return runtime.sequence(std::move(reversed),
                          generator ? SequenceKind::kList : SequenceKind::kGenerator);
}

Result<Value> filter_join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"d", "attribute"}));
  SPILLWAY_ASSIGN(const std::string separator, bound.at(0) == nullptr
                                                   ? Result<std::string>("")
                                                   : to_text(runtime, *bound.at(0)));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  std::string out;
  bool first = true;
  for (const Value& item : items->items) {
    SPILLWAY_ASSIGN(const Value value, get_path(runtime, item, bound.value(1, Value(None{}))));
    SPILLWAY_ASSIGN(const std::string text, to_text(runtime, value));
    if (!std::exchange(first, false)) {
      SPILLWAY_TRY(runtime.make(separator.size()));
      out += separator;
    }
    out += text;
    if (out.size() > runtime.limits().output_bytes) SPILLWAY_TRY(runtime.make(out.size()));
  }
  return runtime.text(std::move(out));
}

// What an item sorts by: the value of `attribute`, in lower case unless case counts.
Result<Value> sort_key(Runtime& runtime, const Value& item, const Value& attribute,
                       bool case_sensitive) {
  SPILLWAY_ASSIGN(Value key, get_path(runtime, item, attribute));
  if (case_sensitive || key.text() == nullptr) return key;
  return runtime.text(to_lower(*key.text()));
}

Result<std::vector<Value>> in_order(Runtime& runtime, const std::vector<Value>& items,
                                    const std::vector<Value>& keys, bool reverse) {
  SPILLWAY_ASSIGN(const auto order, sorted_order(runtime, keys, reverse));
  std::vector<Value> sorted;
  for (const size_t i : order) sorted.push_back(items[i]);
  return sorted;
}

// "a,b" sorts by a, then by b.
Result<Value> sort_keys(Runtime& runtime, const Value& item, const Value& attribute,
                        bool case_sensitive) {
  std::vector<Value> keys;
  const std::string* text = attribute.text();
  if (text == nullptr) {
    SPILLWAY_ASSIGN(Value key, sort_key(runtime, item, attribute, case_sensitive));
    keys.push_back(std::move(key));
  }
  for (size_t at = 0; text != nullptr && at <= text->size();) {
    const size_t end = std::min(text->find(',', at), text->size());
    SPILLWAY_ASSIGN(const Value path, runtime.text(text->substr(at, end - at)));
    SPILLWAY_ASSIGN(Value key, sort_key(runtime, item, path, case_sensitive));
    keys.push_back(std::move(key));
    at = end + 1;
  }
  return runtime.sequence(std::move(keys));
}

Result<Value> filter_sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound,
                  Bound::bind(arguments, {"reverse", "case_sensitive", "attribute"}));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  std::vector<Value> keys;
  for (const Value& item : items->items) {
    SPILLWAY_ASSIGN(Value key,
                    sort_keys(runtime, item, bound.value(2, Value(None{})), bound.flag(1, false)));
    keys.push_back(std::move(key));
  }
  SPILLWAY_ASSIGN(auto sorted, in_order(runtime, items->items, keys, bound.flag(0, false)));
  return runtime.sequence(std::move(sorted));
}

Result<std::vector<Value>> item_pairs(Runtime& runtime, const Dict& dict) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict.entries()) {
    SPILLWAY_ASSIGN(Value pair, runtime.sequence({key, value}, SequenceKind::kTuple));
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

Result<Value> filter_items(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  if (input.is_undefined()) return runtime.sequence({}, SequenceKind::kGenerator);
  if (input.dict() == nullptr)
    return fail(ErrorCode::kBadFile, "can only get item pairs from a mapping, not '{}'",
                type_name(input));
  SPILLWAY_ASSIGN(auto pairs, item_pairs(runtime, *input.dict()));
  return runtime.sequence(std::move(pairs), SequenceKind::kGenerator);
}

Result<Value> filter_dictsort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"case_sensitive", "by", "reverse"}));
  SPILLWAY_TRY(require_defined(input));
  if (input.dict() == nullptr)
    return fail(ErrorCode::kBadFile, "'{}' object has no items", type_name(input));
  SPILLWAY_ASSIGN(const auto given_by, bound.text(1));
  const std::string_view by = given_by.value_or("key");
  if (by != "key" && by != "value")
    return fail(ErrorCode::kBadFile, "can only sort by either \"key\" or \"value\"");
  SPILLWAY_ASSIGN(const auto pairs, item_pairs(runtime, *input.dict()));
  std::vector<Value> keys;
  for (const auto& [key, value] : input.dict()->entries()) {
    SPILLWAY_ASSIGN(Value sort_by, sort_key(runtime, by == "key" ? key : value, Value(None{}),
                                            bound.flag(0, false)));
    keys.push_back(std::move(sort_by));
  }
  SPILLWAY_ASSIGN(auto sorted, in_order(runtime, pairs, keys, bound.flag(2, false)));
  return runtime.sequence(std::move(sorted));
}

Result<Value> filter_unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"case_sensitive", "attribute"}));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  std::unordered_set<std::string> seen;
  std::vector<Value> unique;
  for (const Value& item : items->items) {
    SPILLWAY_ASSIGN(const Value key,
                    sort_key(runtime, item, bound.value(1, Value(None{})), bound.flag(0, false)));
    auto identity = key_identity(key);
    if (!identity) return fail(ErrorCode::kBadFile, "unhashable type: '{}'", type_name(key));
    SPILLWAY_TRY(runtime.make(identity->size()));
    if (seen.insert(std::move(*identity)).second) unique.push_back(item);
  }
  return runtime.sequence(std::move(unique), SequenceKind::kGenerator);
}

template <bool largest>
Result<Value> filter_extreme(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"case_sensitive", "attribute"}));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  if (items->items.empty()) return undefined("No aggregated item, sequence was empty.");
  Value best_key;
  const Value* best = nullptr;
  for (const Value& item : items->items) {
    SPILLWAY_ASSIGN(Value key,
                    sort_key(runtime, item, bound.value(1, Value(None{})), bound.flag(0, false)));
    if (best != nullptr) {
      SPILLWAY_ASSIGN(const bool better,
                      largest ? less(runtime, best_key, key) : less(runtime, key, best_key));
      if (!better) continue;
    }
    best = &item;
    best_key = std::move(key);
  }
  return *best;
}

Result<Value> filter_sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"attribute", "start"}));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, input));
  Value sum = bound.value(1, Value(int64_t{0}));
  if (sum.text() != nullptr) return fail(ErrorCode::kBadFile, "strings cannot be summed; use join");
  for (const Value& item : items->items) {
    SPILLWAY_ASSIGN(const Value value, get_path(runtime, item, bound.value(0, Value(None{}))));
    SPILLWAY_ASSIGN(sum, apply(runtime, Operator::kAdd, sum, value));
  }
  return sum;
}

constexpr Filter kSequenceTable[] = {
    {"list", filter_list},          {"first", filter_first},       {"last", filter_last},
    {"reverse", filter_reverse},    {"join", filter_join},         {"sort", filter_sort},
    {"items", filter_items},        {"dictsort", filter_dictsort}, {"unique", filter_unique},
    {"min", filter_extreme<false>}, {"max", filter_extreme<true>}, {"sum", filter_sum},
};

}  // namespace

const std::span<const Filter> kSequenceFilters = kSequenceTable;

}  // namespace spillway::formats::jinja
