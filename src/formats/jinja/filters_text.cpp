// Filters that give a string for a string.
#include <algorithm>

#include "formats/jinja/arithmetic.h"
#include "formats/jinja/filters.h"
#include "formats/jinja/print.h"
#include "formats/jinja/signature.h"
#include "formats/jinja/text_operations.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

template <std::string (*convert)(std::string_view)>
Result<Value> filter_by(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  return runtime.text(convert(text));
}

// Words begin behind white space and opening brackets here, which str.title sees differently.
std::string title_words(std::string_view text) {
  std::string out;
  size_t begin = 0;
  bool separating = false;
  const auto flush = [&](size_t end) {
    const std::string_view word = text.substr(begin, end - begin);
    if (word.empty()) return;
    const size_t first = code_point_at(word, 0).size;
    out += to_upper(word.substr(0, first)) + to_lower(word.substr(first));
    begin = end;
  };
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const bool separator =
        is_space(point.value) ||
        (point.value < 0x80 &&
         std::string_view("-({[<").find(static_cast<char>(point.value)) != std::string_view::npos);
    if (separator != separating) flush(at);
    separating = separator;
    at += point.size;
  }
  flush(text.size());
  return out;
}

Result<Value> filter_trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"chars"}));
  SPILLWAY_ASSIGN(const auto characters, bound.text(0));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  return runtime.text(std::string(strip(text, Side::kBoth, characters)));
}

Result<Value> filter_replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"old", "new", "count"}, 2));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  SPILLWAY_ASSIGN(const std::string old, to_text(runtime, *bound.at(0)));
  SPILLWAY_ASSIGN(const std::string by, to_text(runtime, *bound.at(1)));
  int64_t count = -1;
  if (bound.at(2) != nullptr && !bound.at(2)->is_none()) {
    SPILLWAY_ASSIGN(count, bound.integer(2, -1));
  }
  SPILLWAY_ASSIGN(std::string out, replace_text(runtime, text, {old, by, count}));
  return runtime.text(std::move(out));
}

Result<Value> filter_string(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  if (input.text() != nullptr) return input;
  SPILLWAY_ASSIGN(std::string text, to_text(runtime, input));
  return runtime.text(std::move(text));
}

Result<Value> as_markup(Runtime& runtime, std::string text) {
  SPILLWAY_TRY(runtime.make(text.size()));
  return Value(Text{std::make_shared<const std::string>(std::move(text)), true});
}

Result<Value> filter_safe(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(std::string text, to_text(runtime, input));
  return as_markup(runtime, std::move(text));
}

template <bool force>
Result<Value> filter_escape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  if (!force && input.is<Text>() && input.get<Text>()->markup) return input;
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  return as_markup(runtime, escape_markup(text));
}

Result<Value> filter_center(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"width"}));
  SPILLWAY_ASSIGN(const int64_t width, bound.integer(0, 80));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  SPILLWAY_ASSIGN(std::string out, justify(runtime, text, width, Alignment::kCenter));
  return runtime.text(std::move(out));
}

Result<Value> filter_indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"width", "first", "blank"}));
  SPILLWAY_TRY(require_defined(input));
  if (input.text() == nullptr)
    return fail(ErrorCode::kBadFile, "expected a string, found '{}'", type_name(input));
  std::string indentation;
  if (bound.at(0) != nullptr && bound.at(0)->text() != nullptr) {
    indentation = *bound.at(0)->text();
  } else {
    SPILLWAY_ASSIGN(const int64_t width, bound.integer(0, 4));
    if (width > 0) {
      SPILLWAY_TRY(runtime.make(static_cast<size_t>(width)));
      indentation.assign(static_cast<size_t>(width), ' ');
    }
  }
  const bool blank = bound.flag(2, false);
  const std::string text = *input.text() + "\n";
  std::string out = bound.flag(1, false) ? indentation : std::string();
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    SPILLWAY_TRY(runtime.make(indentation.size() + line.size()));
    if (!std::exchange(first, false)) {
      out += '\n';
      if (blank || !line.empty()) out += indentation;
    }
    out += line;
    if (out.size() > runtime.limits().output_bytes) SPILLWAY_TRY(runtime.make(out.size()));
  }
  return runtime.text(std::move(out));
}

Result<Value> filter_truncate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound,
                  Bound::bind(arguments, {"length", "killwords", "end", "leeway"}));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  if (input.text() == nullptr && !input.is_undefined())
    return fail(ErrorCode::kBadFile, "expected a string, found '{}'", type_name(input));
  SPILLWAY_ASSIGN(const int64_t length, bound.integer(0, 255));
  SPILLWAY_ASSIGN(const auto given_end, bound.text(2));
  const std::string_view end = given_end.value_or("...");
  const bool own_leeway = bound.at(3) != nullptr && !bound.at(3)->is_none();
  SPILLWAY_ASSIGN(const int64_t leeway, own_leeway ? bound.integer(3, 5) : Result<int64_t>(5));
  const auto starts = code_point_starts(text);
  const auto end_size = static_cast<int64_t>(count_code_points(end));
  if (length < end_size || leeway < 0)
    return fail(ErrorCode::kBadFile, "expected a length of at least {}, got {}", end_size, length);
  const size_t size = starts.size() - 1;
  if (size <= static_cast<size_t>(length) + static_cast<size_t>(leeway)) return input;
  std::string_view kept =
      std::string_view(text).substr(0, starts[static_cast<size_t>(length - end_size)]);
  if (!bound.flag(1, false)) {
    const size_t space = kept.rfind(' ');
    if (space != std::string_view::npos) kept = kept.substr(0, space);
  }
  std::string out(kept);
  out += end;
  return runtime.text(std::move(out));
}

Result<Value> filter_format(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const std::string format, to_text(runtime, input));
  Value values;
  if (arguments.named.empty()) {
    SPILLWAY_ASSIGN(values, runtime.sequence(arguments.positional, SequenceKind::kTuple));
  } else {
    if (!arguments.positional.empty())
      return fail(ErrorCode::kBadFile, "cannot take positional and keyword arguments at once");
    Dict dict;
    for (const auto& [name, value] : arguments.named) {
      SPILLWAY_ASSIGN(Value key, runtime.text(name));
      dict.set(text_identity(name), std::move(key), value);
    }
    SPILLWAY_ASSIGN(values, runtime.dict(std::move(dict)));
  }
  SPILLWAY_ASSIGN(std::string out, percent_format(runtime, format, values));
  return runtime.text(std::move(out));
}

constexpr Filter kTextTable[] = {
    {"upper", filter_by<to_upper>},
    {"lower", filter_by<to_lower>},
    {"capitalize", filter_by<to_capitalized>},
    {"title", filter_by<title_words>},
    {"trim", filter_trim},
    {"replace", filter_replace},
    {"string", filter_string},
    {"safe", filter_safe},
    {"escape", filter_escape<false>},
    {"e", filter_escape<false>},
    {"forceescape", filter_escape<true>},
    {"center", filter_center},
    {"indent", filter_indent},
    {"truncate", filter_truncate},
    {"format", filter_format},
};

}  // namespace

const std::span<const Filter> kTextFilters = kTextTable;

}  // namespace spillway::formats::jinja
