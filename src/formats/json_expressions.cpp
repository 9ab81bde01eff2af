#include "formats/json_expressions.h"

#include <algorithm>
#include <map>

#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

constexpr size_t kMostBlanks = 20;   // of an indented line
constexpr size_t kMostDigits = 16;   // of a number's part: a double has no more
constexpr size_t kMostExponent = 2;  // digits: a double's range is not left

Expression digits(size_t least, size_t most) {
  return Expression::repeat(Expression::one_of({{'0', '9'}}), least, most);
}

Expression whole_number() {
  return Expression::choice({json_text("0"), Expression::sequence({Expression::one_of({{'1', '9'}}),
                                                                   digits(0, kMostDigits - 1)})});
}

Expression integer() {
  return Expression::sequence({Expression::optional(json_text("-")), whole_number()});
}

Expression number() {
  Expression fraction = Expression::sequence({json_text("."), digits(1, kMostDigits)});
  Expression exponent =
      Expression::sequence({Expression::one_of({{'E', 'E'}, {'e', 'e'}}),
                            Expression::optional(Expression::one_of({{'+', '+'}, {'-', '-'}})),
                            digits(1, kMostExponent)});
  return Expression::sequence({integer(), Expression::optional(std::move(fraction)),
                               Expression::optional(std::move(exponent))});
}

// "(part ("," part)*)?" between brackets.
Expression list(std::string_view open, const Expression& part, std::string_view close) {
  Expression more =
      Expression::repeat(Expression::sequence({json_mark(","), part}), 0, Expression::kUnbounded);
  return Expression::sequence({json_text(open), json_space(),
                               Expression::optional(Expression::sequence({part, std::move(more)})),
                               json_space(), json_text(close)});
}

Expression hex(size_t count) {
  return Expression::repeat(Expression::one_of({{'0', '9'}, {'A', 'F'}, {'a', 'f'}}), count, count);
}

Expression two_digits(std::string_view first, std::string_view second) {
  const auto range = [](std::string_view ends) {
    return Expression::one_of({{static_cast<uint32_t>(ends[0]), static_cast<uint32_t>(ends[1])}});
  };
  return Expression::sequence({range(first), range(second)});
}

// Days that every month has, and 29 to 31 for some: not which.
Expression date() {
  return Expression::sequence({digits(4, 4), json_text("-"),
                               Expression::choice({two_digits("00", "19"), two_digits("11", "02")}),
                               json_text("-"),
                               Expression::choice({two_digits("00", "19"), two_digits("11", "09"),
                                                   two_digits("22", "08")})});
}

Expression time() {
  const Expression hour = Expression::choice({two_digits("01", "09"), two_digits("22", "03")});
  const Expression minute = two_digits("05", "09");
  Expression zone = Expression::sequence(
      {Expression::one_of({{'+', '+'}, {'-', '-'}}), hour, json_text(":"), minute});
  return Expression::sequence(
      {hour, json_text(":"), minute, json_text(":"), minute,
       Expression::optional(Expression::sequence({json_text("."), digits(1, 9)})),
       Expression::choice({json_text("Z"), std::move(zone)})});
}

// Characters that JSON writes with a backslash and a letter.
const std::map<uint32_t, std::string_view> kEscapes = {{'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"},
                                                       {'\t', "\\t"}, {'\n', "\\n"},  {'\f', "\\f"},
                                                       {'\r', "\\r"}};

// Characters that do not stand in a string as they are.
const std::vector<CodePointRange> kUnwritable = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}};

}  // namespace

Expression json_space() {
  return Expression::rule("space");
}

Expression json_mark(std::string_view mark) {
  return Expression::sequence({json_text(mark), json_space()});
}

void add_json_rules(Rules& rules) {
  const Expression blanks =
      Expression::repeat(Expression::one_of({{'\t', '\t'}, {' ', ' '}}), 0, kMostBlanks);
  rules["space"] = Expression::choice(
      {json_text(""), json_text(" "),
       Expression::sequence({Expression::repeat(json_text("\n"), 1, 2), blanks})});
  rules["string"] = Expression::sequence(
      {json_text("\""), Expression::repeat(json_any_character(), 0, Expression::kUnbounded),
       json_text("\"")});
  rules["number"] = number();
  rules["integer"] = integer();
  rules["boolean"] = Expression::choice({json_text("true"), json_text("false")});
  rules["null"] = json_text("null");
  rules["array"] = list("[", Expression::rule("value"), "]");
  rules["object"] = list(
      "{",
      Expression::sequence({Expression::rule("string"), json_mark(":"), Expression::rule("value")}),
      "}");
  std::vector<Expression> values;
  for (const char* name : {"object", "array", "string", "number", "boolean", "null"})
    values.push_back(Expression::rule(name));
  rules["value"] = Expression::choice(std::move(values));
}

Expression json_character(std::vector<CodePointRange> ranges) {
  ranges = sorted(std::move(ranges));
  std::vector<CodePointRange> outside = complement(ranges);
  outside.insert(outside.end(), kUnwritable.begin(), kUnwritable.end());
  std::vector<Expression> ways = {Expression::one_of(complement(std::move(outside)))};
  for (const auto& [character, escape] : kEscapes) {
    for (const CodePointRange& range : ranges) {
      if (range.first <= character && character <= range.last) ways.push_back(json_text(escape));
    }
  }
  return Expression::choice(std::move(ways));
}

Expression json_any_character() {
  Expression plain =
      Expression::one_of({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}});
  Expression below_surrogates = Expression::sequence(
      {Expression::one_of({{'D', 'D'}, {'d', 'd'}}), Expression::one_of({{'0', '7'}}), hex(2)});
  Expression code = Expression::choice(
      {Expression::sequence({std::move(plain), hex(3)}), std::move(below_surrogates)});
  return Expression::choice({json_character({{0, kLastCodePoint}}), json_text("\\/"),
                             Expression::sequence({json_text("\\u"), std::move(code)})});
}

std::optional<Expression> json_format(std::string_view format) {
  if (format == "date") return date();
  if (format == "time") return time();
  if (format == "date-time") return Expression::sequence({date(), json_text("T"), time()});
  if (format != "uuid") return std::nullopt;
  std::vector<Expression> parts = {hex(8)};
  for (const size_t size : {4U, 4U, 4U, 12U}) {
    parts.push_back(json_text("-"));
    parts.push_back(hex(size));
  }
  return Expression::sequence(std::move(parts));
}

namespace {

constexpr size_t kMostNameDepth = 256;

// Texts that begin with `prefix` and are none of `names`, from behind the prefix on; `names` begin
// with it.
Expression other_than(const std::vector<std::string>& names, size_t prefix) {
  const Expression rest =
      Expression::repeat(Expression::one_of(complement(kUnwritable)), 0, Expression::kUnbounded);
  std::map<uint32_t, std::vector<std::string>> by_next;
  bool whole = false;  // the prefix is a name itself
  for (const std::string& name : names) {
    const std::string_view left = std::string_view(name).substr(prefix);
    whole = whole || left.empty();
    if (!left.empty()) by_next[decode_utf8(left.substr(0, first_utf8(left).size))].push_back(name);
  }
  std::vector<CodePointRange> excluded = kUnwritable;
  std::vector<Expression> ways;
  if (!whole) ways.push_back(json_text(""));
  for (const auto& [character, longer] : by_next) {
    excluded.push_back({character, character});
    std::string bytes;
    append_utf8(character, bytes);
    // So deep a name is not told from others that begin like it: they are left out.
    if (prefix < kMostNameDepth)
      ways.push_back(
          Expression::sequence({json_text(bytes), other_than(longer, prefix + bytes.size())}));
  }
  ways.push_back(Expression::sequence({Expression::one_of(complement(std::move(excluded))), rest}));
  return Expression::choice(std::move(ways));
}

}  // namespace

Expression json_other_name(const std::vector<std::string>& names) {
  std::vector<std::string> writable;  // the others need an escape: they are told apart by that
  std::copy_if(names.begin(), names.end(), std::back_inserter(writable), [](const auto& name) {
    return std::none_of(name.begin(), name.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == 0x7F;
    });
  });
  return other_than(writable, 0);
}

}  // namespace spillway::formats
