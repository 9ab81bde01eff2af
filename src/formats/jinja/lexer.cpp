#include "formats/jinja/lexer.h"

#include <algorithm>

#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

constexpr size_t kNone = std::string_view::npos;

// All line ends become \n, and one at the very end goes.
std::string normalize_lines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool opens_tag(char c) {
  return c == '{' || c == '%' || c == '#';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) SPILLWAY_TRY(read_data());
    push(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  size_t skip_space(size_t at) const {
    while (at < source_.size()) {
      const CodePoint point = code_point_at(source_, at);
      if (!is_space(point.value)) break;
      at += point.size;
    }
    return at;
  }

  size_t line() {
    line_ += static_cast<size_t>(std::count(source_.begin() + static_cast<ptrdiff_t>(counted_),
                                            source_.begin() + static_cast<ptrdiff_t>(at_), '\n'));
    counted_ = at_;
    return line_;
  }

  auto fail_here(std::string_view what) {
    return fail(ErrorCode::kBadFile, "line {}: {}", line(), what);
  }

  void push(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line()});
  }

  // The sign behind "{%" and its like, which it moves past; 0 if there is none.
  char take_sign() {
    if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) return source_[at_++];
    return 0;
  }

  void push_data(std::string_view text, char sign, bool strips_line) {
    if (sign == '-') {
      text = strip(text, Side::kRight);
    } else if (sign != '+' && strips_line) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == kNone ? 0 : newline + 1;
      if ((start > 0 || line_starting_) && strip(text.substr(start), Side::kLeft).empty())
        text = text.substr(0, start);
    }
    if (!text.empty()) push(TokenKind::kData, std::string(text));
  }

  Result<void> read_data() {
    size_t open = source_.find('{', at_);
    while (open != kNone && (open + 1 == source_.size() || !opens_tag(source_[open + 1])))
      open = source_.find('{', open + 1);
    if (open == kNone) {
      push(TokenKind::kData, std::string(source_.substr(at_)));
      at_ = source_.size();
      return {};
    }
    const std::string_view text = source_.substr(at_, open - at_);
    const char kind = source_[open + 1];
    at_ = open + 2;
    if (kind == '%') {
      char sign = 0;
      const size_t raw = end_of_raw_begin(sign);
      if (raw != kNone) {
        push_data(text, sign, true);
        finish_tag(raw);
        return read_raw();
      }
    }
    push_data(text, take_sign(), kind != '{');
    if (kind == '#') return read_comment();
    push(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, {});
    return read_tag(kind == '{');
  }

  // "{%" has been read: behind it, if it is {% raw %}.
  size_t end_of_raw_begin(char& sign) const {
    size_t at = at_;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) sign = source_[at++];
    at = skip_space(at);
    if (!source_.substr(at).starts_with("raw")) return kNone;
    at = skip_space(at + 3);
    if (source_.substr(at).starts_with("-%}")) return skip_space(at + 3);
    return source_.substr(at).starts_with("%}") ? at + 2 : kNone;
  }

  Result<void> read_raw() {
    const size_t begin = at_;
    if (begin == source_.size()) return {};  // as jinja2, which misses an end only before text
    for (size_t open = source_.find("{%", begin); open != kNone;
         open = source_.find("{%", open + 1)) {
      at_ = open + 2;
      const char sign = take_sign();
      at_ = skip_space(at_);
      if (!looking_at("endraw")) continue;
      at_ = skip_space(at_ + 6);
      const size_t end = end_of_block(at_);
      if (end == kNone) continue;
      at_ = begin;
      push_data(source_.substr(begin, open - begin), sign, true);
      finish_tag(end);
      return {};
    }
    at_ = begin;
    return fail_here("this raw block has no end");
  }

  Result<void> read_comment() {
    if (at_ == source_.size()) return {};  // as jinja2, which misses an end only before text
    const size_t close = source_.find("#}", at_);
    if (close == kNone) return fail_here("this comment has no end");
    const char sign = close > at_ ? source_[close - 1] : '\0';
    size_t end = close + 2;
    if (sign == '-') {
      end = skip_space(end);
    } else if (sign != '+' && end < source_.size() && source_[end] == '\n') {
      ++end;
    }
    finish_tag(end);
    return {};
  }

  // Behind the end of a block tag that starts at `at`, with the white space that it takes along.
  size_t end_of_block(size_t at) const {
    const std::string_view rest = source_.substr(at);
    if (rest.starts_with("+%}")) return at + 3;
    if (rest.starts_with("-%}")) return skip_space(at + 3);
    if (!rest.starts_with("%}")) return kNone;
    return rest.substr(2).starts_with('\n') ? at + 3 : at + 2;
  }

  size_t end_of_variable(size_t at) const {
    const std::string_view rest = source_.substr(at);
    if (rest.starts_with("-}}")) return skip_space(at + 3);
    return rest.starts_with("}}") ? at + 2 : kNone;
  }

  void finish_tag(size_t end) {
    at_ = end;
    line_starting_ = source_[at_ - 1] == '\n';
  }

  // Up to the end of the tag. Inside brackets "}}" and "%}" do not end it.
  Result<void> read_tag(bool variable) {
    std::string open_brackets;
    const size_t first_line = line();
    while (at_ < source_.size()) {
      if (open_brackets.empty()) {
        const size_t end = variable ? end_of_variable(at_) : end_of_block(at_);
        if (end != kNone) {
          push(variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, {});
          finish_tag(end);
          return {};
        }
      }
      const size_t token = skip_space(at_);
      if (token != at_) {
        at_ = token;
        continue;
      }
      const size_t token_line = line();
      auto read = read_tag_token(source_, at_);
      if (!read) return fail_here(read.error().message);
      read->line = token_line;
      if (read->kind == TokenKind::kOperator)
        SPILLWAY_TRY(match_bracket(read->text[0], open_brackets));
      tokens_.push_back(std::move(*read));
    }
    return fail(ErrorCode::kBadFile, "line {}: this tag has no end", first_line);
  }

  Result<void> match_bracket(char c, std::string& open) {
    constexpr std::string_view kOpen = "([{";
    constexpr std::string_view kClose = ")]}";
    if (kOpen.find(c) != kNone) open += c;
    const size_t close = kClose.find(c);
    if (close == kNone) return {};
    if (open.empty() || open.back() != kOpen[close])
      return fail_here(fmt::format("unexpected '{}'", c));
    open.pop_back();
    return {};
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t counted_ = 0;         // newlines before it are in line_
  bool line_starting_ = true;  // the last tag took a newline along
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  const std::string normalized = normalize_lines(source);
  return Lexer(normalized).run();
}

}  // namespace spillway::formats::jinja
