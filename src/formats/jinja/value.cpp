#include "formats/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace spillway::formats::jinja {

Value::Value() = default;
Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

const Value* Dict::find(const std::string& identity) const {
  const auto it = index_.find(identity);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

const Value* Dict::find_text(std::string_view key) const {
  return find(text_identity(key));
}

void Dict::set(std::string identity, Value key, Value value) {
  depth = std::max({depth, 1 + depth_of(key), 1 + depth_of(value)});
  const auto [it, added] = index_.try_emplace(std::move(identity), entries_.size());
  if (added) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    entries_[it->second].second = std::move(value);
  }
}

size_t depth_of(const Value& value) {
  if (const Sequence* sequence = value.sequence()) return sequence->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  if (const LoopPtr* loop = value.get<LoopPtr>()) return 1 + (*loop)->items->depth;
  if (const CallablePtr* callable = value.get<CallablePtr>()) {
    const auto* method = std::get_if<BoundMethod>(&(*callable)->target);
    return method == nullptr ? 0 : 1 + depth_of(method->self);
  }
  return 0;
}

std::string_view type_name(const Value& value) {
  if (const Sequence* sequence = value.sequence()) {
    switch (sequence->kind) {
      case SequenceKind::kList:
        return "list";
      case SequenceKind::kTuple:
      case SequenceKind::kGroup:
        return "tuple";
      case SequenceKind::kRange:
        return "range";
      case SequenceKind::kGenerator:
        return "generator";
      case SequenceKind::kDictKeys:
        return "dict_keys";
      case SequenceKind::kDictValues:
        return "dict_values";
      case SequenceKind::kDictItems:
        return "dict_items";
    }
  }
  constexpr std::string_view kNames[] = {"Undefined", "NoneType",    "bool",    "int",
                                         "float",     "str",         "",        "dict",
                                         "Namespace", "LoopContext", "function"};
  return kNames[value.variant().index()];
}

bool is_truthy(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const auto number = value.number()) return *number != 0.0;
  if (const std::string* text = value.text()) return !text->empty();
  if (const Sequence* sequence = value.sequence())
    return sequence->kind == SequenceKind::kGenerator || !sequence->items.empty();
  if (const Dict* dict = value.dict()) return !dict->entries().empty();
  return true;
}

Value undefined(std::string reason) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(reason))});
}

std::string text_identity(std::string_view key) {
  std::string identity("s");
  identity += key;
  return identity;
}

namespace {

// Of values that are equal only to themselves; null for all others.
const void* object_address(const Value& value) {
  if (Namespace* const* space = value.get<Namespace*>()) return *space;
  if (const LoopPtr* loop = value.get<LoopPtr>()) return loop->get();
  if (const CallablePtr* callable = value.get<CallablePtr>()) return callable->get();
  const Sequence* sequence = value.sequence();
  return sequence != nullptr && sequence->kind == SequenceKind::kGenerator ? sequence : nullptr;
}

}  // namespace

std::optional<std::string> key_identity(const Value& key) {
  if (const std::string* text = key.text()) return text_identity(*text);
  if (const auto integer = key.integer()) return fmt::format("i{}", *integer);
  if (const double* real = key.get<double>()) {
    if (*real == std::floor(*real) && std::abs(*real) < 9e18)
      return fmt::format("i{}", static_cast<int64_t>(*real));
    return fmt::format("f{}", *real);
  }
  if (key.is_none()) return "n";
  if (key.is_undefined()) return "u";
  if (const void* object = object_address(key)) return fmt::format("p{}", object);
  const Sequence* sequence = key.sequence();
  if (sequence == nullptr || sequence->kind != SequenceKind::kTuple) return std::nullopt;
  std::string identity("t");
  for (const Value& item : sequence->items) {
    const auto part = key_identity(item);
    if (!part) return std::nullopt;
    identity += fmt::format("{}:{}", part->size(), *part);
  }
  return identity;
}

}  // namespace spillway::formats::jinja
