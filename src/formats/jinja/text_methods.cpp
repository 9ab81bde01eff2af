// Methods of strings.
#include <algorithm>

#include "formats/jinja/attributes.h"
#include "formats/jinja/methods.h"
#include "formats/jinja/print.h"
#include "formats/jinja/signature.h"
#include "formats/jinja/text_operations.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

template <std::string (*convert)(std::string_view)>
Result<Value> method_by(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  return runtime.text(convert(*self.text()));
}

template <bool (*predicate)(std::string_view)>
Result<Value> tested(Runtime&, const Value& self, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  return Value(predicate(*self.text()));
}

bool is_all_space(std::string_view text) {
  return !text.empty() && strip(text, Side::kLeft).empty();
}

bool is_all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

template <Side side>
Result<Value> stripped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"chars"}));
  SPILLWAY_ASSIGN(const auto characters, bound.text(0));
  if (characters) SPILLWAY_TRY(runtime.scan(characters->size()));
  return runtime.text(std::string(strip(*self.text(), side, characters)));
}

// Words between white space; the last of `limit` splits takes the rest as it is.
std::vector<std::string_view> split_words(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, Side::kLeft);
  for (; !text.empty(); --limit) {
    if (limit == 0) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !is_space(code_point_at(text, end).value))
      end += code_point_at(text, end).size;
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), Side::kLeft);
  }
  return parts;
}

std::vector<std::string_view> split_words_from_right(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, Side::kRight);
  for (; !text.empty(); --limit) {
    if (limit == 0) {
      parts.push_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      const size_t before = code_point_before(text, begin);
      if (is_space(code_point_at(text, before).value)) break;
      begin = before;
    }
    parts.push_back(text.substr(begin));
    text = strip(text.substr(0, begin), Side::kRight);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit) {
  std::vector<std::string_view> parts;
  size_t at = 0;
  for (; limit != 0; --limit) {
    const size_t found = find_text(text, separator, at);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(at, found - at));
    at = found + separator.size();
  }
  parts.push_back(text.substr(at));
  return parts;
}

// Non-overlapping finds from the right, which need not be those from the left: on the reversed
// text.
std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator,
                                                  int64_t limit) {
  const std::string reversed(text.rbegin(), text.rend());
  const std::string reversed_separator(separator.rbegin(), separator.rend());
  std::vector<std::string_view> parts;
  size_t end = text.size();
  for (const std::string_view part : split_at(reversed, reversed_separator, limit)) {
    parts.push_back(text.substr(end - part.size(), part.size()));
    end -= std::min(end, part.size() + separator.size());
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool from_right>
Result<Value> split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"sep", "maxsplit"}));
  SPILLWAY_ASSIGN(const auto separator, bound.text(0));
  SPILLWAY_ASSIGN(const int64_t limit, bound.integer(1, -1));
  SPILLWAY_TRY(runtime.make(self.text()->size()));
  const std::string_view text = *self.text();
  if (!separator) {
    return text_list(runtime,
                     from_right ? split_words_from_right(text, limit) : split_words(text, limit));
  }
  if (separator->empty()) return fail(ErrorCode::kBadFile, "empty separator");
  return text_list(runtime, from_right ? split_at_from_right(text, *separator, limit)
                                       : split_at(text, *separator, limit));
}

Result<Value> splitlines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"keepends"}));
  return text_list(runtime, split_lines(*self.text(), bound.flag(0, false)));
}

template <bool from_right>
Result<Value> partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"sep"}, 1));
  SPILLWAY_ASSIGN(const auto separator, bound.text(0));
  if (!separator || separator->empty()) return fail(ErrorCode::kBadFile, "empty separator");
  SPILLWAY_TRY(runtime.make(self.text()->size()));
  const std::string_view text = *self.text();
  const auto parts =
      from_right ? split_at_from_right(text, *separator, 1) : split_at(text, *separator, 1);
  std::vector<std::string_view> three;
  if (parts.size() == 2) {
    three = {parts[0], *separator, parts[1]};
  } else if (from_right) {
    three = {"", "", text};
  } else {
    three = {text, "", ""};
  }
  return text_list(runtime, three, SequenceKind::kTuple);
}

// The part of the text that `start` and `end`, parameters 1 and 2, leave.
Result<Value> bounded(Runtime& runtime, const Value& self, const Bound& bound) {
  if (bound.at(1) == nullptr && bound.at(2) == nullptr) return self;
  SliceParts parts;
  parts.start = bound.value(1, Value(None{}));
  parts.stop = bound.value(2, Value(None{}));
  return get_slice(runtime, self, parts);
}

template <bool at_end>
Result<Value> has_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"affix", "start", "end"}, 1));
  SPILLWAY_ASSIGN(const Value part, bounded(runtime, self, bound));
  const std::string_view text = *part.text();
  const Sequence* several = bound.at(0)->sequence();
  const std::vector<Value> one{*bound.at(0)};
  for (const Value& affix : several != nullptr ? several->items : one) {
    SPILLWAY_TRY(runtime.step());
    if (affix.text() == nullptr)
      return fail(ErrorCode::kBadFile, "needs a string or a tuple of strings, not '{}'",
                  type_name(affix));
    if (at_end ? text.ends_with(*affix.text()) : text.starts_with(*affix.text()))
      return Value(true);
  }
  return Value(false);
}

template <bool at_end>
Result<Value> remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"affix"}, 1));
  SPILLWAY_ASSIGN(const auto affix, bound.text(0));
  std::string_view text = *self.text();
  if (!affix) return fail(ErrorCode::kBadFile, "needs a string");
  if (at_end && text.ends_with(*affix)) text.remove_suffix(affix->size());
  if (!at_end && text.starts_with(*affix)) text.remove_prefix(affix->size());
  return runtime.text(std::string(text));
}

template <bool from_right>
Result<Value> find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"sub"}, 1));
  SPILLWAY_ASSIGN(const auto needle, bound.text(0));
  if (!needle) return fail(ErrorCode::kBadFile, "needs a string");
  SPILLWAY_TRY(runtime.make(self.text()->size()));
  const std::string_view text = *self.text();
  if (from_right) {
    if (needle->empty()) return Value(static_cast<int64_t>(count_code_points(text)));
    const auto parts = split_at_from_right(text, *needle, 1);
    return Value(parts.size() == 2 ? static_cast<int64_t>(count_code_points(parts[0]))
                                   : int64_t{-1});
  }
  const size_t found = find_text(text, *needle);
  if (found == std::string_view::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(count_code_points(text.substr(0, found))));
}

Result<Value> count(Runtime&, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"sub"}, 1));
  SPILLWAY_ASSIGN(const auto needle, bound.text(0));
  if (!needle) return fail(ErrorCode::kBadFile, "needs a string");
  const std::string_view text = *self.text();
  if (needle->empty()) return Value(static_cast<int64_t>(count_code_points(text)) + 1);
  return Value(static_cast<int64_t>(split_at(text, *needle, -1).size()) - 1);
}

Result<Value> replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"old", "new", "count"}, 2));
  SPILLWAY_ASSIGN(const auto old, bound.text(0));
  SPILLWAY_ASSIGN(const auto by, bound.text(1));
  SPILLWAY_ASSIGN(const int64_t limit, bound.integer(2, -1));
  if (!old || !by) return fail(ErrorCode::kBadFile, "needs two strings");
  SPILLWAY_ASSIGN(std::string out, replace_text(runtime, *self.text(), {*old, *by, limit}));
  return runtime.text(std::move(out));
}

Result<Value> join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"iterable"}, 1));
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, *bound.at(0)));
  std::string out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    const std::string* text = items->items[i].text();
    if (text == nullptr)
      return fail(ErrorCode::kBadFile, "sequence item {}: expected str instance, {} found", i,
                  type_name(items->items[i]));
    SPILLWAY_TRY(runtime.make(self.text()->size() + text->size()));
    if (i > 0) out += *self.text();
    out += *text;
    if (out.size() > runtime.limits().output_bytes) SPILLWAY_TRY(runtime.make(out.size()));
  }
  return runtime.text(std::move(out));
}

template <Alignment alignment>
Result<Value> justified(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"width", "fillchar"}, 1));
  SPILLWAY_ASSIGN(const int64_t width, bound.integer(0, 0));
  SPILLWAY_ASSIGN(const auto fill, bound.text(1));
  SPILLWAY_ASSIGN(std::string out,
                  justify(runtime, *self.text(), width, alignment, fill.value_or(" ")));
  return runtime.text(std::move(out));
}

Result<Value> format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  SPILLWAY_ASSIGN(std::string out, brace_format(runtime, *self.text(), arguments));
  return runtime.text(std::move(out));
}

constexpr Method kMethodTable[] = {
    {"upper", method_by<to_upper>},
    {"lower", method_by<to_lower>},
    {"title", method_by<to_title>},
    {"capitalize", method_by<to_capitalized>},
    {"isupper", tested<is_upper>},
    {"islower", tested<is_lower>},
    {"isspace", tested<is_all_space>},
    {"isdigit", tested<is_all_digits>},
    {"strip", stripped<Side::kBoth>},
    {"lstrip", stripped<Side::kLeft>},
    {"rstrip", stripped<Side::kRight>},
    {"split", split<false>},
    {"rsplit", split<true>},
    {"splitlines", splitlines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"startswith", has_affix<false>},
    {"endswith", has_affix<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"find", find<false>},
    {"rfind", find<true>},
    {"count", count},
    {"replace", replace},
    {"join", join},
    {"center", justified<Alignment::kCenter>},
    {"ljust", justified<Alignment::kLeft>},
    {"rjust", justified<Alignment::kRight>},
    {"format", format},
};

}  // namespace

const std::span<const Method> kTextMethods = kMethodTable;

}  // namespace spillway::formats::jinja
