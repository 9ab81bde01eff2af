// See tokenizer_regex.h. Sources: Oniguruma's doc/RE and doc/SYNTAX.md, pcre2pattern(3).
#include "formats/tokenizer_regex.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace spillway::formats {
namespace {

constexpr size_t kMostBytes = 16 << 10;

// Unicode's White_Space, which Oniguruma's \s is. PCRE2's own has U+180E too.
constexpr std::string_view kSpaces = R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A})"
                                     R"(\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kDigitSet = R"(\p{Nd})";
constexpr std::string_view kWordCharacters = R"(\p{L}\p{M}\p{Nd}\p{Pc})";

// What may follow "(?".
constexpr std::array<std::string_view, 8> kGroups = {":", "=", "!", "<=", "<!", ">", "i:", "i)"};

bool is_ascii_letter_or_digit(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool begins_with_set(std::string_view text) {
  constexpr std::string_view kSets = "sSdDwWpP";
  return text.size() >= 2 && text[0] == '\\' && kSets.find(text[1]) != std::string_view::npos;
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> translate() {
    while (at_ < pattern_.size()) SPILLWAY_TRY(take_one());
    return std::move(out_);
  }

 private:
  template <typename... Arguments>
  tl::unexpected<Error> refuse(fmt::format_string<Arguments...> what, Arguments&&... arguments) {
    return fail(ErrorCode::kBadFile, "the pattern '{}' has {} at byte {}, which is not supported",
                pattern_, fmt::format(what, std::forward<Arguments>(arguments)...), at_);
  }

  std::string_view rest() const { return pattern_.substr(at_); }

  void copy(size_t bytes) {
    out_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }

  Result<void> take_one() {
    switch (pattern_[at_]) {
      case '\\':
        return take_escape(false);
      case '[':
        return take_class();
      case '(':
        return take_group();
      case '{':
        return take_count();
      default:
        copy(1);
        return {};
    }
  }

  Result<void> take_group() {
    if (rest().starts_with("(?")) {
      const std::string_view kind = rest().substr(2);
      const auto known = std::ranges::find_if(
          kGroups, [&](std::string_view group) { return kind.starts_with(group); });
      if (known == kGroups.end()) return refuse("a group '{}'", rest().substr(0, 4));
      copy(2 + known->size());
    } else {
      if (rest().starts_with("(*")) return refuse("a verb");
      // Nothing refers to what a group captures.
      out_ += "(?:";
      ++at_;
    }
    return {};
  }

  // {n}, {n,} and {n,m}. A + behind would mean another thing to each of the two.
  Result<void> take_count() {
    const size_t end = rest().find('}');
    const std::string_view inner = rest().substr(1, end == std::string_view::npos ? 0 : end - 1);
    const bool counts = !inner.empty() && inner.front() != ',' &&
                        inner.find_first_not_of("0123456789,") == std::string_view::npos &&
                        std::ranges::count(inner, ',') <= 1;
    if (!counts) return refuse("a '{{'");
    if (rest().substr(end + 1).starts_with('+')) return refuse("a '+' behind a count");
    copy(end + 1);
    return {};
  }

  Result<void> take_class() {
    copy(1);
    if (rest().starts_with('^')) copy(1);
    if (rest().starts_with(']')) return refuse("an empty class");
    bool after_set = false;
    while (!rest().empty() && pattern_[at_] != ']') {
      if (pattern_[at_] == '[') return refuse("a class in a class");
      if (rest().starts_with("&&")) return refuse("an intersection");
      const bool set = begins_with_set(rest());
      // Beside a set it is itself, not a range.
      if (pattern_[at_] == '-' && (after_set || begins_with_set(rest().substr(1)))) out_ += '\\';
      if (pattern_[at_] == '\\')
        SPILLWAY_TRY(take_escape(true));
      else
        copy(1);
      after_set = set;
    }
    if (rest().empty()) return refuse("a class without an end");
    copy(1);
    return {};
  }

  Result<void> take_escape(bool in_class) {
    if (rest().size() < 2) return refuse("a '\\' and nothing");
    const char escaped = pattern_[at_ + 1];
    switch (escaped) {
      case 's':
        return take_set(kSpaces, in_class);
      case 'd':
        return take_set(kDigitSet, in_class);
      case 'w':
        return take_set(kWordCharacters, in_class);
      case 'S':
        return take_complement(kSpaces, in_class);
      case 'D':
        return take_complement(kDigitSet, in_class);
      case 'W':
        return take_complement(kWordCharacters, in_class);
      case 'p':
      case 'P':
        return take_property();
      case 'x':
        return take_code_point('{', '}');
      case 'u':
        return take_code_point(0, 0);
      case 'v':
        out_ += R"(\x{B})";
        at_ += 2;
        return {};
      case 'n':
      case 'r':
      case 't':
      case 'f':
        copy(2);
        return {};
      default:
        break;
    }
    if (escaped == 'A' && !in_class) {
      copy(2);
      return {};
    }
    if (is_ascii_letter_or_digit(escaped)) return refuse("'\\{}'", escaped);
    copy(2);  // of a longer character the first byte; the others follow as they are
    return {};
  }

  Result<void> take_set(std::string_view set, bool in_class) {
    out_ += in_class ? "" : "[";
    out_ += set;
    out_ += in_class ? "" : "]";
    at_ += 2;
    return {};
  }

  Result<void> take_complement(std::string_view set, bool in_class) {
    if (in_class) return refuse("'\\{}' in a class", pattern_[at_ + 1]);
    out_ += "[^";
    out_ += set;
    out_ += "]";
    at_ += 2;
    return {};
  }

  // \p{Name} and \p{^Name}; PCRE2 knows which names there are.
  Result<void> take_property() {
    const size_t end = rest().find('}');
    if (rest().size() < 3 || pattern_[at_ + 2] != '{' || end == std::string_view::npos)
      return refuse("a property without braces");
    std::string_view name = rest().substr(3, end - 3);
    if (name.starts_with('^')) name.remove_prefix(1);
    const bool letters = !name.empty() && std::ranges::all_of(name, [](char c) {
      return is_ascii_letter_or_digit(c) || c == '_';
    });
    if (!letters) return refuse("the property '{}'", name);
    copy(end + 1);
    return {};
  }

  // \x{H…} and \uHHHH.
  Result<void> take_code_point(char open, char close) {
    size_t begin = at_ + 2;
    size_t size = 4;
    if (open != 0) {
      const size_t end = rest().find(close);
      if (pattern_.substr(begin, 1) != std::string_view(&open, 1) || end == std::string_view::npos)
        return refuse("a '\\x' without braces");
      size = end - 3;
      ++begin;
    }
    const std::string_view digits = pattern_.substr(begin, size);
    const bool hex =
        digits.size() == size && size >= 1 && size <= 6 && std::ranges::all_of(digits, [](char c) {
          return std::isxdigit(static_cast<unsigned char>(c)) != 0;
        });
    if (!hex) return refuse("a code point that is no hexadecimal number");
    out_ += fmt::format("\\x{{{}}}", digits);
    at_ = begin + size + (open != 0 ? 1 : 0);
    return {};
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

Result<std::string> to_pcre2(std::string_view pattern) {
  if (pattern.size() > kMostBytes)
    return fail(ErrorCode::kBadFile, "a pattern has {} bytes, more than {}", pattern.size(),
                kMostBytes);
  return Translator(pattern).translate();
}

std::string quote_regex(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool plain = is_ascii_letter_or_digit(c) || static_cast<unsigned char>(c) >= 0x80;
    if (static_cast<unsigned char>(c) < 0x20) {
      pattern += fmt::format("\\x{{{:X}}}", static_cast<unsigned>(c));
      continue;
    }
    if (!plain) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace spillway::formats
