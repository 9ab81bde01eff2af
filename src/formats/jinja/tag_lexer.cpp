// Names, numbers, strings and operators inside a tag (lexer.h).
#include <algorithm>
#include <array>
#include <charconv>

#include "formats/jinja/lexer.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_byte(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

char at_or_zero(std::string_view text, size_t at) {
  return at < text.size() ? text[at] : '\0';
}

// Digits that `accept` takes, with single underscores between them, from `at` on; adds them to
// `digits` and returns where they end.
template <typename Accept>
size_t take_digits(std::string_view source, size_t at, std::string& digits, Accept accept) {
  while (accept(at_or_zero(source, at)) ||
         (!digits.empty() && at_or_zero(source, at) == '_' && accept(at_or_zero(source, at + 1)))) {
    if (source[at] != '_') digits += source[at];
    ++at;
  }
  return at;
}

Token read_prefixed_integer(std::string_view source, size_t& at, int base) {
  const auto accept = [base](char c) {
    const char lower = static_cast<char>(c | 0x20);
    const int digit = is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
    return digit < base;
  };
  std::string digits("0");
  at = take_digits(source, at + 2, digits, accept);
  // The parser knows decimal only; what does not fit stays too long for it.
  uint64_t value = 0;
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  static_cast<void>(stop);
  return {TokenKind::kInteger,
          error == std::errc() ? std::to_string(value) : "99999999999999999999", 1};
}

Token read_number(std::string_view source, size_t& at) {
  const char letter = static_cast<char>(at_or_zero(source, at + 1) | 0x20);
  const char after = at_or_zero(source, at + 2);
  if (source[at] == '0' &&
      (is_name_byte(after) && after != '_' && static_cast<unsigned char>(after) < 0x80)) {
    const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    const bool valid = base == 16 ? std::isxdigit(static_cast<unsigned char>(after)) != 0
                                  : is_digit(after) && after - '0' < base;
    if (base != 0 && valid) return read_prefixed_integer(source, at, base);
  }
  const bool may_be_real = at == 0 || source[at - 1] != '.';
  std::string digits;
  size_t end = take_digits(source, at, digits, is_digit);
  bool real = false;
  if (may_be_real && at_or_zero(source, end) == '.' && is_digit(at_or_zero(source, end + 1))) {
    digits += '.';
    end = take_digits(source, end + 1, digits, is_digit);
    real = true;
  }
  if (may_be_real && (at_or_zero(source, end) | 0x20) == 'e') {
    const char sign = at_or_zero(source, end + 1);
    const size_t power = end + (sign == '+' || sign == '-' ? 2 : 1);
    if (is_digit(at_or_zero(source, power))) {
      digits += 'e';
      if (sign == '-') digits += sign;
      end = take_digits(source, power, digits, is_digit);
      real = true;
    }
  }
  at = end;
  return {real ? TokenKind::kFloat : TokenKind::kInteger, std::move(digits), 1};
}

// The code point of \x, \u and \U escapes with `count` digits at `at`.
Result<char32_t> read_hex(std::string_view body, size_t at, size_t count) {
  uint32_t value = 0;
  const std::string_view digits = body.substr(std::min(at, body.size())).substr(0, count);
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != count || error != std::errc() || stop != digits.data() + digits.size())
    return fail(ErrorCode::kBadFile, "a string has an incomplete \\x, \\u or \\U escape");
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
    return fail(ErrorCode::kBadFile, "a string escapes U+{:04X}, which is no character", value);
  return static_cast<char32_t>(value);
}

// What the escape at body[at], just behind the backslash, stands for; `at` moves behind it.
Result<void> append_escape(std::string_view body, size_t& at, std::string& out) {
  constexpr std::string_view kLetters = "\n\\'\"abfnrtv";
  constexpr std::array<std::string_view, 11> kMeanings = {"",   "\\", "'",  "\"", "\a", "\b",
                                                          "\f", "\n", "\r", "\t", "\v"};
  const char c = body[at++];
  const size_t known = kLetters.find(c);
  if (known != std::string_view::npos) {
    out += kMeanings[known];
    return {};
  }
  if (c >= '0' && c <= '7') {
    char32_t value = static_cast<char32_t>(c - '0');
    for (int i = 0; i < 2 && at_or_zero(body, at) >= '0' && at_or_zero(body, at) <= '7'; ++i)
      value = value * 8 + static_cast<char32_t>(body[at++] - '0');
    append_code_point(out, value);
    return {};
  }
  const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits == 0) {
    if (c == 'N') return fail(ErrorCode::kBadFile, "named escapes (\\N) are not supported");
    out += '\\';
    out += c;
    return {};
  }
  SPILLWAY_ASSIGN(const char32_t value, read_hex(body, at, digits));
  append_code_point(out, value);
  at += digits;
  return {};
}

Result<Token> read_string(std::string_view source, size_t& at) {
  const char mark = source[at];
  size_t end = at + 1;
  while (end < source.size() && source[end] != mark) end += source[end] == '\\' ? 2u : 1u;
  if (end >= source.size()) return fail(ErrorCode::kBadFile, "this string has no end");
  const std::string_view body = source.substr(at + 1, end - at - 1);
  std::string text;
  for (size_t i = 0; i < body.size();) {
    if (body[i] != '\\') {
      text += body[i++];
    } else {
      ++i;
      SPILLWAY_TRY(append_escape(body, i, text));
    }
  }
  at = end + 1;
  return Token{TokenKind::kString, std::move(text), 1};
}

}  // namespace

Result<Token> read_tag_token(std::string_view source, size_t& at) {
  const char c = source[at];
  if (is_digit(c)) {
    Token number = read_number(source, at);
    if (number.kind == TokenKind::kInteger && c == '0' && number.text.find_first_not_of('0') == 1)
      return fail(ErrorCode::kBadFile, "a number may not begin with 0");
    return number;
  }
  if (is_name_byte(c)) {
    size_t end = at;
    while (end < source.size() && is_name_byte(source[end])) ++end;
    std::string name(source.substr(at, end - at));
    at = end;
    return Token{TokenKind::kName, std::move(name), 1};
  }
  if (c == '"' || c == '\'') return read_string(source, at);
  for (const std::string_view two : {"//", "**", "==", "!=", ">=", "<="}) {
    if (!source.substr(at).starts_with(two)) continue;
    at += 2;
    return Token{TokenKind::kOperator, std::string(two), 1};
  }
  if (std::string_view("+-/*%~[](){}<>=.:|,;").find(c) == std::string_view::npos)
    return fail(ErrorCode::kBadFile, "unexpected character '{}'",
                source.substr(at, code_point_at(source, at).size));
  ++at;
  return Token{TokenKind::kOperator, std::string(1, c), 1};
}

}  // namespace spillway::formats::jinja
