#include "formats/jinja/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "formats/jinja/compare.h"
#include "formats/jinja/numbers.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return format_float(value);
}

void append_ascii(std::string& out, char32_t value) {
  if (value >= 0x10000) {
    const auto offset = static_cast<uint32_t>(value - 0x10000);
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
  } else {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(value));
  }
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  Result<std::string> write(const Value& value) {
    SPILLWAY_TRY(append(value));
    return std::move(out_);
  }

 private:
  Result<void> add(std::string_view text) {
    SPILLWAY_TRY(runtime_.make(text.size()));
    out_ += text;
    if (out_.size() > runtime_.limits().output_bytes) return runtime_.make(out_.size());
    return {};
  }

  Result<void> append(const Value& value) {
    const Runtime::Descent descent(runtime_);
    SPILLWAY_TRY(descent.check());
    SPILLWAY_TRY(runtime_.step());
    if (const std::string* text = value.text()) return append_string(*text);
    if (value.is_none()) return add("null");
    if (const bool* flag = value.get<bool>()) return add(*flag ? "true" : "false");
    if (const int64_t* integer = value.get<int64_t>()) return add(std::to_string(*integer));
    if (const double* real = value.get<double>()) return add(json_float(*real));
    if (const Dict* dict = value.dict()) return append_dict(*dict);
    const Sequence* sequence = value.sequence();
    if (sequence != nullptr && sequence->kind <= SequenceKind::kGroup)
      return append_list(sequence->items);
    return fail(ErrorCode::kBadFile, "Object of type {} is not JSON serializable",
                type_name(value));
  }

  Result<void> append_string(std::string_view text) {
    std::string quoted("\"");
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = code_point_at(text, at);
      const char32_t c = point.value;
      constexpr std::string_view kShort = "\b\t\n\f\r\"\\";
      constexpr std::string_view kLetters = "btnfr\"\\";
      const size_t known = c < 0x80 ? kShort.find(static_cast<char>(c)) : std::string_view::npos;
      if (known != std::string_view::npos) {
        quoted += '\\';
        quoted += kLetters[known];
      } else if (c < 0x20 || (style_.ensure_ascii && c >= 0x80)) {
        append_ascii(quoted, c);
      } else {
        quoted += text.substr(at, point.size);
      }
      at += point.size;
    }
    return add(quoted + '"');
  }

  Result<void> break_line(size_t level) {
    if (!style_.indent) return {};
    SPILLWAY_TRY(add("\n"));
    for (size_t i = 0; i < level; ++i) SPILLWAY_TRY(add(*style_.indent));
    return {};
  }

  Result<void> append_list(const std::vector<Value>& items) {
    if (items.empty()) return add("[]");
    SPILLWAY_TRY(add("["));
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) SPILLWAY_TRY(add(style_.item_separator));
      SPILLWAY_TRY(break_line(level_));
      SPILLWAY_TRY(append(items[i]));
    }
    --level_;
    SPILLWAY_TRY(break_line(level_));
    return add("]");
  }

  Result<void> append_dict(const Dict& dict) {
    if (dict.entries().empty()) return add("{}");
    SPILLWAY_ASSIGN(const std::vector<size_t> order, key_order(dict));
    SPILLWAY_TRY(add("{"));
    ++level_;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0) SPILLWAY_TRY(add(style_.item_separator));
      SPILLWAY_TRY(break_line(level_));
      const auto& [key, value] = dict.entries()[order[i]];
      SPILLWAY_TRY(append_key(key));
      SPILLWAY_TRY(add(style_.key_separator));
      SPILLWAY_TRY(append(value));
    }
    --level_;
    SPILLWAY_TRY(break_line(level_));
    return add("}");
  }

  Result<std::vector<size_t>> key_order(const Dict& dict) {
    std::vector<Value> keys;
    for (const auto& entry : dict.entries()) keys.push_back(entry.first);
    if (style_.sort_keys) return sorted_order(runtime_, keys, false);
    std::vector<size_t> order(keys.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    return order;
  }

  Result<void> append_key(const Value& key) {
    if (const std::string* text = key.text()) return append_string(*text);
    if (const bool* flag = key.get<bool>()) return add(*flag ? "\"true\"" : "\"false\"");
    if (key.is_none()) return add("\"null\"");
    if (const int64_t* integer = key.get<int64_t>()) return add(fmt::format("\"{}\"", *integer));
    if (const double* real = key.get<double>()) return add('"' + json_float(*real) + '"');
    return fail(ErrorCode::kBadFile, "a key of type {} cannot be written as JSON", type_name(key));
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
  size_t level_ = 0;
};

Result<Value> from_json_object(Runtime& runtime, const Json& json) {
  Dict dict;
  for (const auto& [name, member] : json.items()) {
    SPILLWAY_ASSIGN(Value key, runtime.text(name));
    SPILLWAY_ASSIGN(Value value, from_json(runtime, member));
    dict.set(text_identity(name), std::move(key), std::move(value));
  }
  return runtime.dict(std::move(dict));
}

}  // namespace

Result<Value> from_json(Runtime& runtime, const Json& json) {
  const Runtime::Descent descent(runtime);
  SPILLWAY_TRY(descent.check());
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number <= INT64_MAX) return Value(static_cast<int64_t>(number));
      return fail(ErrorCode::kBadFile, "the number {} is too large for a template", number);
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return runtime.text(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& element : json) {
        SPILLWAY_ASSIGN(Value item, from_json(runtime, element));
        items.push_back(std::move(item));
      }
      return runtime.sequence(std::move(items));
    }
    case Json::value_t::object:
      return from_json_object(runtime, json);
    default:
      return Value(None{});
  }
}

Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  return JsonWriter(runtime, style).write(value);
}

}  // namespace spillway::formats::jinja
