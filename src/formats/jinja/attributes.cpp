#include "formats/jinja/attributes.h"

#include <algorithm>
#include <limits>

#include "formats/jinja/methods.h"
#include "formats/jinja/numbers.h"
#include "formats/jinja/print.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

constexpr size_t kShownName = 200;  // bytes of a name in a message

Value loop_attribute(const LoopState& loop, std::string_view name) {
  const auto& items = loop.items->items;
  const auto number = [](size_t value) { return Value(static_cast<int64_t>(value)); };
  if (name == "index") return number(loop.index0 + 1);
  if (name == "index0") return number(loop.index0);
  // After the loop, its index stays at the last element.
  if (name == "revindex") return number(items.size() - std::min(items.size(), loop.index0));
  if (name == "revindex0") return number(items.size() - std::min(items.size(), loop.index0 + 1));
  if (name == "first") return Value(loop.index0 == 0);
  if (name == "last") return Value(loop.index0 + 1 >= items.size());
  if (name == "length") return number(items.size());
  if (name == "depth") return number(loop.depth0 + 1);
  if (name == "depth0") return number(loop.depth0);
  if (name == "previtem") {
    if (loop.index0 == 0) return undefined("there is no previous item");
    return items[loop.index0 - 1];
  }
  if (name == "nextitem") {
    if (loop.index0 + 1 >= items.size()) return undefined("there is no next item");
    return items[loop.index0 + 1];
  }
  return Value();
}

// An attribute or a bound method; undefined without a reason if there is none.
Result<Value> find_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (Namespace* const* space = object.get<Namespace*>()) {
    SPILLWAY_TRY(runtime.step((*space)->attributes.size() / 16));
    for (const auto& [attribute, value] : (*space)->attributes) {
      if (attribute == name) return value;
    }
    return Value();
  }
  const Sequence* sequence = object.sequence();
  if (sequence != nullptr && sequence->kind == SequenceKind::kGroup) {
    if (name == "grouper") return sequence->items[0];
    if (name == "list") return sequence->items[1];
  }
  if (const Method* method = find_method(object, name)) {
    SPILLWAY_TRY(runtime.make(sizeof(Callable)));
    return Value(std::make_shared<const Callable>(Callable{BoundMethod{object, method}}));
  }
  if (const LoopPtr* loop = object.get<LoopPtr>()) return loop_attribute(**loop, name);
  return Value();
}

std::string shown(std::string_view name) {
  if (name.size() <= kShownName) return quote(name);
  return quote(name.substr(0, kShownName)) + "...";
}

Value missing_attribute(const Value& object, std::string_view name) {
  return undefined(fmt::format("'{} object' has no attribute {}", type_name(object), shown(name)));
}

// The element under an index that may be negative; null if it is out of range.
const Value* element(const Sequence& sequence, int64_t index) {
  const auto size = static_cast<int64_t>(sequence.items.size());
  if (index < 0) index += size;
  return index < 0 || index >= size ? nullptr : &sequence.items[static_cast<size_t>(index)];
}

Result<Value> character(Runtime& runtime, const std::string& text, int64_t index) {
  SPILLWAY_TRY(runtime.scan(text.size()));
  size_t at = 0;
  if (index >= 0) {
    for (; index > 0 && at < text.size(); --index) at += code_point_at(text, at).size;
    if (at >= text.size()) return Value();
  } else {
    at = text.size();
    for (; index < 0 && at > 0; ++index) at = code_point_before(text, at);
    if (index < 0) return Value();
  }
  return runtime.text(text.substr(at, code_point_at(text, at).size));
}

bool has_elements(const Sequence& sequence) {
  return sequence.kind <= SequenceKind::kRange;
}

// object[key] without looking at attributes; undefined without a reason if there is none.
Result<Value> find_item(Runtime& runtime, const Value& object, const Value& key) {
  if (const Dict* dict = object.dict()) {
    const auto identity = key_identity(key);
    if (!identity) return Value();
    SPILLWAY_TRY(runtime.scan(identity->size()));
    const Value* found = dict->find(*identity);
    return found == nullptr ? Value() : *found;
  }
  const auto index = key.integer();
  if (!index) return Value();
  if (const std::string* text = object.text()) return character(runtime, *text, *index);
  const Sequence* sequence = object.sequence();
  if (sequence == nullptr || !has_elements(*sequence)) return Value();
  const Value* found = element(*sequence, *index);
  return found == nullptr ? Value() : *found;
}

bool found(const Value& value) {
  const Undefined* missing = value.get<Undefined>();
  return missing == nullptr || missing->reason != nullptr;
}

struct Range {
  int64_t start, step;
  size_t count;
};

Result<int64_t> slice_part(const Value& part, int64_t otherwise) {
  if (part.is_none()) return otherwise;
  if (const auto integer = part.integer()) return *integer;
  SPILLWAY_TRY(require_defined(part));
  return fail(ErrorCode::kBadFile, "slice indices must be integers or None, not '{}'",
              type_name(part));
}

Result<Range> resolve_slice(const SliceParts& parts, size_t length) {
  SPILLWAY_ASSIGN(int64_t step, slice_part(parts.step, 1));
  if (step == 0) return fail(ErrorCode::kBadFile, "slice step cannot be zero");
  step = std::max(step, -std::numeric_limits<int64_t>::max());
  const auto size = static_cast<int64_t>(length);
  const int64_t lowest = step < 0 ? -1 : 0;
  const int64_t highest = step < 0 ? size - 1 : size;
  const auto clamp = [&](int64_t index) {
    return std::clamp(index < 0 ? index + size : index, lowest, highest);
  };
  SPILLWAY_ASSIGN(int64_t start, slice_part(parts.start, 0));
  SPILLWAY_ASSIGN(int64_t stop, slice_part(parts.stop, 0));
  start = parts.start.is_none() ? (step < 0 ? highest : lowest) : clamp(start);
  stop = parts.stop.is_none() ? (step < 0 ? lowest : highest) : clamp(stop);
  const int64_t distance = step < 0 ? start - stop : stop - start;
  const int64_t stride = step < 0 ? -step : step;
  const int64_t count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  return Range{start, step, static_cast<size_t>(count)};
}

Result<Value> slice_text(Runtime& runtime, const std::string& text, const SliceParts& parts) {
  SPILLWAY_TRY(runtime.make(text.size()));
  const auto starts = code_point_starts(text);
  SPILLWAY_ASSIGN(const Range range, resolve_slice(parts, starts.size() - 1));
  std::string out;
  for (size_t i = 0; i < range.count; ++i) {
    const auto at = static_cast<size_t>(range.start + static_cast<int64_t>(i) * range.step);
    out.append(text, starts[at], starts[at + 1] - starts[at]);
  }
  return runtime.text(std::move(out));
}

}  // namespace

Result<Value> get_attribute(Runtime& runtime, const Value& object, const std::string& name) {
  SPILLWAY_TRY(require_defined(object));
  SPILLWAY_ASSIGN(Value value, find_attribute(runtime, object, name));
  if (found(value)) return value;
  if (const Dict* dict = object.dict()) {
    if (const Value* member = dict->find_text(name)) return *member;
  }
  return missing_attribute(object, name);
}

Result<Value> get_item(Runtime& runtime, const Value& object, const Value& key) {
  SPILLWAY_TRY(require_defined(object));
  SPILLWAY_ASSIGN(Value value, find_item(runtime, object, key));
  if (found(value)) return value;
  if (const std::string* name = key.text()) {
    SPILLWAY_ASSIGN(value, find_attribute(runtime, object, *name));
    if (found(value)) return value;
    return missing_attribute(object, *name);
  }
  return undefined(fmt::format("{} object has no such element", type_name(object)));
}

Result<Value> get_slice(Runtime& runtime, const Value& object, const SliceParts& parts) {
  SPILLWAY_TRY(require_defined(object));
  if (const std::string* text = object.text()) return slice_text(runtime, *text, parts);
  const Sequence* sequence = object.sequence();
  if (sequence == nullptr || !has_elements(*sequence))
    return fail(ErrorCode::kBadFile, "'{}' object cannot be sliced", type_name(object));
  SPILLWAY_ASSIGN(const Range range, resolve_slice(parts, sequence->items.size()));
  SPILLWAY_TRY(runtime.step(range.count));
  std::vector<Value> items;
  items.reserve(range.count);
  for (size_t i = 0; i < range.count; ++i)
    items.push_back(
        sequence->items[static_cast<size_t>(range.start + static_cast<int64_t>(i) * range.step)]);
  const bool tuple =
      sequence->kind == SequenceKind::kTuple || sequence->kind == SequenceKind::kGroup;
  return runtime.sequence(std::move(items), tuple ? SequenceKind::kTuple : SequenceKind::kList);
}

Result<Value> get_path(Runtime& runtime, Value object, const Value& path) {
  SPILLWAY_TRY(runtime.step());
  const std::string* text = path.text();
  if (text == nullptr) {
    if (path.is_none()) return object;
    return get_item(runtime, object, path);
  }
  for (size_t at = 0; at <= text->size();) {
    const size_t end = std::min(text->find('.', at), text->size());
    const std::string part = text->substr(at, end - at);
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    const auto index = digits ? parse_integer(part, 10) : std::nullopt;
    SPILLWAY_ASSIGN(const Value key, index ? Result<Value>(Value(*index)) : runtime.text(part));
    SPILLWAY_ASSIGN(object, get_item(runtime, object, key));
    at = end + 1;
  }
  return object;
}

}  // namespace spillway::formats::jinja
