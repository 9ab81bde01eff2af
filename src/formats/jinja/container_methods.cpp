// Methods of dictionaries, lists, tuples and loops, and the look-up of all methods.
#include "formats/jinja/compare.h"
#include "formats/jinja/methods.h"
#include "formats/jinja/signature.h"

namespace spillway::formats::jinja {
namespace {

enum class View { kKeys, kValues, kItems };

template <View view>
Result<Value> dict_view(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict()->entries()) {
    if (view == View::kItems) {
      SPILLWAY_ASSIGN(Value pair, runtime.sequence({key, value}, SequenceKind::kTuple));
      items.push_back(std::move(pair));
    } else {
      items.push_back(view == View::kKeys ? key : value);
    }
  }
  constexpr SequenceKind kKinds[] = {SequenceKind::kDictKeys, SequenceKind::kDictValues,
                                     SequenceKind::kDictItems};
  return runtime.sequence(std::move(items), kKinds[static_cast<size_t>(view)]);
}

Result<Value> dict_get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"key", "default"}, 1));
  const auto identity = key_identity(*bound.at(0));
  if (!identity) return fail(ErrorCode::kBadFile, "unhashable type: '{}'", type_name(*bound.at(0)));
  SPILLWAY_TRY(runtime.scan(identity->size()));
  const Value* value = self.dict()->find(*identity);
  return value != nullptr ? *value : bound.value(1, Value(None{}));
}

Result<Value> dict_copy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  return runtime.dict(*self.dict());
}

Result<Value> list_count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"value"}, 1));
  int64_t count = 0;
  for (const Value& item : self.sequence()->items) {
    SPILLWAY_ASSIGN(const bool same, equal(runtime, item, *bound.at(0)));
    count += same ? 1 : 0;
  }
  return Value(count);
}

Result<Value> list_index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"value"}, 1));
  const auto& items = self.sequence()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    SPILLWAY_ASSIGN(const bool same, equal(runtime, items[i], *bound.at(0)));
    if (same) return Value(static_cast<int64_t>(i));
  }
  return fail(ErrorCode::kBadFile, "the value is not in the list");
}

Result<Value> list_copy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  return runtime.sequence(self.sequence()->items, self.sequence()->kind);
}

Result<Value> loop_cycle(Runtime&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) return fail(ErrorCode::kBadFile, "no items for cycling given");
  const size_t index = (*self.get<LoopPtr>())->index0 % arguments.positional.size();
  return arguments.positional[index];
}

Result<Value> loop_changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const LoopPtr& loop = *self.get<LoopPtr>();
  if (!loop->changed) runtime.keep(loop);
  bool same = loop->changed && loop->changed->size() == arguments.positional.size();
  for (size_t i = 0; same && i < arguments.positional.size(); ++i) {
    SPILLWAY_ASSIGN(same, equal(runtime, (*loop->changed)[i], arguments.positional[i]));
  }
  if (!same) loop->changed = arguments.positional;
  return Value(!same);
}

constexpr Method kDictTable[] = {{"get", dict_get},
                                 {"items", dict_view<View::kItems>},
                                 {"keys", dict_view<View::kKeys>},
                                 {"values", dict_view<View::kValues>},
                                 {"copy", dict_copy}};
constexpr Method kListTable[] = {{"count", list_count}, {"index", list_index}, {"copy", list_copy}};
constexpr Method kLoopTable[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};

}  // namespace

const std::span<const Method> kDictMethods = kDictTable;
const std::span<const Method> kListMethods = kListTable;
const std::span<const Method> kLoopMethods = kLoopTable;

const Method* find_method(const Value& self, std::string_view name) {
  std::span<const Method> methods;
  if (self.text() != nullptr) {
    methods = kTextMethods;
  } else if (self.dict() != nullptr) {
    methods = kDictMethods;
  } else if (self.is<LoopPtr>()) {
    methods = kLoopMethods;
  } else if (self.sequence() != nullptr && self.sequence()->kind <= SequenceKind::kRange) {
    methods = kListMethods;
  }
  for (const Method& method : methods) {
    if (method.name != name) continue;
    // Tuples and ranges have all of a list's but this one.
    if (method.call == list_copy && self.sequence()->kind != SequenceKind::kList) return nullptr;
    return &method;
  }
  return nullptr;
}

}  // namespace spillway::formats::jinja
