// Grammar::parse_gbnf: GBNF as llama.cpp's grammars/README.md describes it. A rule ends with its
// line, except within parentheses and behind "|".
#include <algorithm>
#include <optional>

#include "formats/grammar.h"
#include "formats/text_cursor.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

constexpr size_t kMostParentheses = 64;  // of parentheses
constexpr size_t kMostRepetitions = 4;   // of one item: x*?+

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class GbnfParser : TextCursor {
 public:
  using TextCursor::TextCursor;

  Result<Rules> parse() {
    skip_blanks(true);
    while (at_ < text_.size()) SPILLWAY_TRY(parse_rule());
    return std::move(rules_);
  }

 private:
  template <typename... Arguments>
  tl::unexpected<Error> wrong(fmt::format_string<Arguments...> format,
                              Arguments&&... arguments) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(at_), '\n');
    return fail(ErrorCode::kUsage, "line {}: {}", line,
                fmt::format(format, std::forward<Arguments>(arguments)...));
  }

  std::string here() const {
    if (at_ >= text_.size()) return "the end";
    if (peek() == '\n' || peek() == '\r') return "the end of the line";
    return fmt::format("'{}'", text_.substr(at_, 1));
  }

  void skip_blanks(bool lines) {
    while (at_ < text_.size()) {
      if (peek() == '#') {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else if (peek() == ' ' || peek() == '\t' || (lines && (peek() == '\n' || peek() == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view take_name() {
    const size_t begin = at_;
    while (is_name(peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Result<void> parse_rule() {
    const std::string name(take_name());
    if (name.empty()) return wrong("a rule's name is expected, not {}", here());
    skip_blanks(false);
    if (!take("::=")) return wrong("'::=' is expected behind '{}', not {}", name, here());
    skip_blanks(true);
    SPILLWAY_ASSIGN(Expression expression, parse_choice(0));
    if (!rules_.emplace(name, std::move(expression)).second)
      return wrong("there are two rules '{}'", name);
    if (at_ < text_.size() && peek() != '\n' && peek() != '\r')
      return wrong("the end of the rule '{}' is expected, not {}", name, here());
    skip_blanks(true);
    return {};
  }

  Result<Expression> parse_choice(size_t depth) {
    std::vector<Expression> parts;
    do {
      skip_blanks(depth > 0 || !parts.empty());
      SPILLWAY_ASSIGN(Expression part, parse_sequence(depth));
      parts.push_back(std::move(part));
    } while (take("|"));
    return parts.size() == 1 ? std::move(parts[0]) : Expression::choice(std::move(parts));
  }

  Result<Expression> parse_sequence(size_t depth) {
    std::vector<Expression> parts;
    while (true) {
      SPILLWAY_ASSIGN(auto item, parse_item(depth));
      if (!item) return Expression::sequence(std::move(parts));
      SPILLWAY_ASSIGN(Expression repeated, parse_repetition(*std::move(item), depth));
      parts.push_back(std::move(repeated));
      skip_blanks(depth > 0);
    }
  }

  // None: the sequence ends here.
  Result<std::optional<Expression>> parse_item(size_t depth) {
    if (take("\"")) return parse_literal();
    if (take("[")) return parse_class();
    if (take(".")) return Expression::one_of({{0, kLastCodePoint}});
    if (is_name(peek())) return Expression::rule(take_name());
    if (peek() == '<' || peek() == '!')
      return wrong("tokens (<…>) are not supported; write their text");
    if (!take("(")) return std::optional<Expression>();
    if (depth == kMostParentheses)
      return wrong("more than {} nested parentheses", kMostParentheses);
    SPILLWAY_ASSIGN(Expression group, parse_choice(depth + 1));
    if (!take(")")) return wrong("')' is expected, not {}", here());
    return group;
  }

  Result<std::optional<Expression>> parse_literal() {
    std::string bytes;
    while (peek() != '"') {
      SPILLWAY_ASSIGN(const uint32_t character, parse_character('"'));
      append_utf8(character, bytes);
    }
    ++at_;
    return Expression::literal(bytes);
  }

  Result<std::optional<Expression>> parse_class() {
    const bool negated = take("^");
    std::vector<CodePointRange> ranges;
    while (peek() != ']') {
      SPILLWAY_ASSIGN(const uint32_t first, parse_character(']'));
      uint32_t last = first;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        SPILLWAY_ASSIGN(last, parse_character(']'));
      }
      if (last < first) return wrong("the range ends before it begins (U+{:04X})", first);
      ranges.push_back({first, last});
    }
    ++at_;
    return Expression::one_of(negated ? complement(std::move(ranges)) : sorted(std::move(ranges)));
  }

  Result<uint32_t> parse_character(char end) {
    if (at_ >= text_.size()) return wrong("'{}' is missing", end);
    if (take("\\")) return parse_escape();
    const Utf8Sequence character = first_utf8(text_.substr(at_));
    if (character.state != Utf8State::kCharacter) return wrong("the text is not UTF-8");
    at_ += character.size;
    return decode_utf8(text_.substr(at_ - character.size, character.size));
  }

  Result<uint32_t> parse_escape() {
    const char c = peek();
    ++at_;
    switch (c) {
      case 'x':
        return parse_hex(2);
      case 'u':
        return parse_hex(4);
      case 'U':
        return parse_hex(8);
      case 't':
        return uint32_t{'\t'};
      case 'r':
        return uint32_t{'\r'};
      case 'n':
        return uint32_t{'\n'};
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<uint32_t>(c);
      default:
        --at_;
        return wrong("there is no escape \\{}", at_ < text_.size() ? std::string(1, c) : "");
    }
  }

  Result<uint32_t> parse_hex(size_t digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const auto digit = std::string_view("0123456789abcdefABCDEF").find(c);
      if (c == '\0' || digit == std::string_view::npos)
        return wrong("{} hexadecimal digits are expected", digits);
      value = value * 16 + static_cast<uint32_t>(digit > 15 ? digit - 6 : digit);
    }
    if (value > kLastCodePoint || (value >= 0xD800 && value <= 0xDFFF))
      return wrong("U+{:X} is no character", value);
    return value;
  }

  Result<Expression> parse_repetition(Expression item, size_t depth) {
    for (size_t count = 0; count <= kMostRepetitions; ++count) {
      if (take("*")) {
        item = Expression::repeat(std::move(item), 0, Expression::kUnbounded);
      } else if (take("+")) {
        item = Expression::repeat(std::move(item), 1, Expression::kUnbounded);
      } else if (take("?")) {
        item = Expression::optional(std::move(item));
      } else if (take("{")) {
        SPILLWAY_ASSIGN(item, parse_counts(std::move(item), depth));
      } else {
        return item;
      }
    }
    return wrong("more than {} repetitions of one item", kMostRepetitions);
  }

  Result<Expression> parse_counts(Expression item, size_t depth) {
    skip_blanks(depth > 0);
    SPILLWAY_ASSIGN(const size_t least, parse_count());
    size_t most = least;
    skip_blanks(depth > 0);
    if (take(",")) {
      skip_blanks(depth > 0);
      most = Expression::kUnbounded;
      if (peek() != '}') {
        SPILLWAY_ASSIGN(most, parse_count());
      }
      skip_blanks(depth > 0);
    }
    if (!take("}")) return wrong("'}}' is expected, not {}", here());
    if (most < least) return wrong("at least {}, but at most {}?", least, most);
    return Expression::repeat(std::move(item), least, most);
  }

  Result<size_t> parse_count() {
    size_t value = 0;
    const size_t begin = at_;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + static_cast<size_t>(peek() - '0');
      if (value > Grammar::kMostSymbols) return wrong("more than {} times", Grammar::kMostSymbols);
    }
    if (at_ == begin) return wrong("a number is expected, not {}", here());
    return value;
  }

  Rules rules_;
};

}  // namespace

Result<Grammar> Grammar::parse_gbnf(std::string_view text) {
  if (text.size() > kMostTextBytes) {
    return fail(ErrorCode::kUsage, "the grammar has {} bytes; {} at most", text.size(),
                kMostTextBytes);
  }
  SPILLWAY_ASSIGN(const Rules rules, GbnfParser(text).parse());
  return compile(rules, "root");
}

}  // namespace spillway::formats
