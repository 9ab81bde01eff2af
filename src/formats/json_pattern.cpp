// json_pattern: regular expressions of JSON schemas.
#include "formats/json_expressions.h"
#include "formats/text_cursor.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

constexpr size_t kMostGroups = 32;  // within groups
constexpr size_t kMostCount = 1 << 16;

const std::vector<CodePointRange> kDigits = {{'0', '9'}};
const std::vector<CodePointRange> kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const std::vector<CodePointRange> kBlank = {
    {'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const std::vector<CodePointRange> kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class PatternParser : TextCursor {
 public:
  using TextCursor::TextCursor;

  Result<Expression> parse() {
    const bool from_begin = take("^");
    SPILLWAY_ASSIGN(Expression inner, parse_choice(0));
    const bool to_end = take("$");
    if (at_ < text_.size()) return wrong("'{}' is not expected here", text_.substr(at_, 1));
    if (alternatives_ && (from_begin || to_end))
      return wrong("put the alternatives between ^ and $ into a group, (?:…|…)");
    Expression any =
        Expression::repeat(json_character({{0, kLastCodePoint}}), 0, Expression::kUnbounded);
    std::vector<Expression> parts;
    if (!from_begin) parts.push_back(any);
    parts.push_back(std::move(inner));
    if (!to_end) parts.push_back(std::move(any));
    return Expression::sequence(std::move(parts));
  }

 private:
  template <typename... Arguments>
  tl::unexpected<Error> wrong(fmt::format_string<Arguments...> format,
                              Arguments&&... arguments) const {
    return fail(ErrorCode::kUsage, "the pattern '{}': {}", text_,
                fmt::format(format, std::forward<Arguments>(arguments)...));
  }
  bool at_end() const {
    return at_ >= text_.size() || peek() == '|' || peek() == ')' ||
           (peek() == '$' && at_ + 1 == text_.size());
  }

  Result<Expression> parse_choice(size_t depth) {
    if (depth > kMostGroups) return wrong("more than {} nested groups", kMostGroups);
    std::vector<Expression> ways;
    do {
      std::vector<Expression> parts;
      while (!at_end()) {
        SPILLWAY_ASSIGN(Expression part, parse_atom(depth));
        SPILLWAY_ASSIGN(part, parse_quantifier(std::move(part)));
        parts.push_back(std::move(part));
      }
      ways.push_back(Expression::sequence(std::move(parts)));
    } while (take("|"));
    if (ways.size() == 1) return std::move(ways[0]);
    if (depth == 0) alternatives_ = true;
    return Expression::choice(std::move(ways));
  }

  Result<Expression> parse_atom(size_t depth) {
    if (take("(")) {
      if (!take("?:") && peek() == '?')
        return wrong("look-around and named groups are not supported");
      SPILLWAY_ASSIGN(Expression group, parse_choice(depth + 1));
      if (!take(")")) return wrong("')' is missing");
      return group;
    }
    if (take("[")) return parse_class();
    if (take(".")) return json_character(complement(kLineEnds));
    if (peek() == '^' || peek() == '$') return wrong("'{}' is supported at the ends only", peek());
    if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{')
      return wrong("'{}' has nothing to repeat", peek());
    SPILLWAY_ASSIGN(auto ranges, parse_characters());
    return json_character(std::move(ranges));
  }

  // One character, or a class that an escape names.
  Result<std::vector<CodePointRange>> parse_characters() {
    if (take("\\")) return parse_escape();
    const std::string_view left = text_.substr(at_);
    const Utf8Sequence character =
        left.empty() ? Utf8Sequence{Utf8State::kInvalid, 0} : first_utf8(left);
    if (character.state != Utf8State::kCharacter)
      return wrong("it ends too early, or is not UTF-8");
    at_ += character.size;
    const uint32_t code_point = decode_utf8(left.substr(0, character.size));
    return std::vector<CodePointRange>{{code_point, code_point}};
  }

  Result<std::vector<CodePointRange>> parse_escape() {
    const char c = peek();
    ++at_;
    const auto one = [](uint32_t code_point) {
      return std::vector<CodePointRange>{{code_point, code_point}};
    };
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return complement(kDigits);
      case 'w':
        return kWord;
      case 'W':
        return complement(kWord);
      case 's':
        return kBlank;
      case 'S':
        return complement(kBlank);
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      default:
        break;
    }
    const bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    const auto byte = static_cast<unsigned char>(c);
    if (letter || byte == 0 || byte >= 0x80) return wrong("an escape that is not supported");
    return one(byte);
  }

  Result<Expression> parse_class() {
    const bool negated = take("^");
    std::vector<CodePointRange> ranges;
    while (peek() != ']') {
      SPILLWAY_ASSIGN(auto first, parse_characters());
      const bool range = peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (range && first.size() == 1 && first[0].first == first[0].last) {
        ++at_;
        SPILLWAY_ASSIGN(const auto last, parse_characters());
        if (last.size() != 1 || last[0].first != last[0].last || last[0].first < first[0].first)
          return wrong("a range in brackets ends before it begins");
        first[0].last = last[0].last;
      }
      ranges.insert(ranges.end(), first.begin(), first.end());
    }
    ++at_;
    return json_character(negated ? complement(std::move(ranges)) : std::move(ranges));
  }

  Result<size_t> parse_count() {
    size_t value = 0;
    const size_t begin = at_;
    for (; peek() >= '0' && peek() <= '9' && value <= kMostCount; ++at_)
      value = value * 10 + static_cast<size_t>(peek() - '0');
    if (at_ == begin || value > kMostCount)
      return wrong("{{ }} needs numbers up to {}", kMostCount);
    return value;
  }

  Result<Expression> parse_quantifier(Expression part) {
    size_t least = 0;
    size_t most = Expression::kUnbounded;
    if (take("+")) {
      least = 1;
    } else if (take("?")) {
      most = 1;
    } else if (take("{")) {
      SPILLWAY_ASSIGN(least, parse_count());
      most = least;
      if (take(",")) {
        most = Expression::kUnbounded;
        if (peek() != '}') {
          SPILLWAY_ASSIGN(most, parse_count());
        }
      }
      if (!take("}") || most < least)
        return wrong("{{ }} is not closed, or its numbers are reversed");
    } else if (!take("*")) {
      return part;
    }
    take("?");  // fewest first: the same texts
    return Expression::repeat(std::move(part), least, most);
  }

  bool alternatives_ = false;
};

}  // namespace

Result<Expression> json_pattern(std::string_view pattern) {
  return PatternParser(pattern).parse();
}

}  // namespace spillway::formats
