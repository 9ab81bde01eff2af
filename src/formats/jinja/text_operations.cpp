#include "formats/jinja/text_operations.h"

#include <algorithm>

#include "formats/jinja/numbers.h"
#include "formats/jinja/print.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

bool ends_line(char32_t value) {
  return (value >= 0x0A && value <= 0x0D) || (value >= 0x1C && value <= 0x1E) || value == 0x85 ||
         value == 0x2028 || value == 0x2029;
}

Result<void> append(Runtime& runtime, std::string& out, std::string_view text) {
  SPILLWAY_TRY(runtime.make(text.size()));
  out += text;
  if (out.size() > runtime.limits().output_bytes) return runtime.make(out.size());
  return {};
}

// An empty `old` is found before every code point and at the end.
Result<std::string> insert_everywhere(Runtime& runtime, std::string_view text,
                                      const Replacement& replacement) {
  std::string out;
  int64_t left = replacement.count;
  size_t at = 0;
  while (left != 0) {
    SPILLWAY_TRY(append(runtime, out, replacement.by));
    --left;
    if (at == text.size()) break;
    const size_t size = code_point_at(text, at).size;
    SPILLWAY_TRY(append(runtime, out, text.substr(at, size)));
    at += size;
  }
  SPILLWAY_TRY(append(runtime, out, text.substr(at)));
  return out;
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, std::string_view format, const Arguments& arguments)
      : runtime_(runtime), format_(format), arguments_(arguments) {}

  Result<std::string> run() {
    while (at_ < format_.size()) {
      const char c = format_[at_];
      const bool brace = c == '{' || c == '}';
      if (brace && at_ + 1 < format_.size() && format_[at_ + 1] == c) {
        out_ += c;
        at_ += 2;
      } else if (c == '{') {
        SPILLWAY_TRY(field());
      } else if (c == '}') {
        return fail(ErrorCode::kBadFile, "single '}}' encountered in format string");
      } else {
        out_ += c;
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  Result<void> field() {
    const size_t close = format_.find('}', at_);
    if (close == std::string_view::npos)
      return fail(ErrorCode::kBadFile, "expected '}}' before end of string");
    std::string_view name = format_.substr(at_ + 1, close - at_ - 1);
    const size_t conversion = name.find_first_of("!:[.");
    if (conversion != std::string_view::npos)
      return fail(ErrorCode::kBadFile, "the field {} of a format is not supported", quote(name));
    at_ = close + 1;
    SPILLWAY_ASSIGN(const Value* value, argument(name));
    SPILLWAY_ASSIGN(const std::string text, to_text(runtime_, *value));
    return append(runtime_, out_, text);
  }

  Result<const Value*> argument(std::string_view name) {
    SPILLWAY_TRY(runtime_.step(arguments_.named.size() / 16));
    for (const auto& [named, value] : arguments_.named) {
      if (named == name) return &value;
    }
    const auto number = name.empty() ? std::optional(next_++) : parse_integer(name, 10);
    if (number && *number >= 0 && static_cast<size_t>(*number) < arguments_.positional.size())
      return &arguments_.positional[static_cast<size_t>(*number)];
    return fail(ErrorCode::kBadFile, "the format has no argument for {{{}}}", name);
  }

  Runtime& runtime_;
  std::string_view format_;
  const Arguments& arguments_;
  std::string out_;
  size_t at_ = 0;
  int64_t next_ = 0;
};

}  // namespace

Result<std::string> replace_text(Runtime& runtime, std::string_view text,
                                 const Replacement& replacement) {
  SPILLWAY_TRY(runtime.scan(text.size()));
  if (replacement.old.empty()) return insert_everywhere(runtime, text, replacement);
  std::string out;
  size_t at = 0;
  for (int64_t left = replacement.count; left != 0; --left) {
    const size_t found = find_text(text, replacement.old, at);
    if (found == std::string_view::npos) break;
    SPILLWAY_TRY(append(runtime, out, text.substr(at, found - at)));
    SPILLWAY_TRY(append(runtime, out, replacement.by));
    at = found + replacement.old.size();
  }
  SPILLWAY_TRY(append(runtime, out, text.substr(at)));
  return out;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const size_t end = at;
    at += point.size;
    if (!ends_line(point.value)) continue;
    if (point.value == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

Result<std::string> justify(Runtime& runtime, std::string_view text, int64_t width,
                            Alignment alignment, std::string_view fill) {
  if (count_code_points(fill) != 1)
    return fail(ErrorCode::kBadFile, "the fill character must be exactly one character long");
  const auto size = static_cast<int64_t>(count_code_points(text));
  const int64_t missing = std::max<int64_t>(0, width - size);
  if (missing > 0) SPILLWAY_TRY(runtime.make(static_cast<size_t>(missing)));
  int64_t left = alignment == Alignment::kRight ? missing : 0;
  if (alignment == Alignment::kCenter) left = missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

Result<std::string> brace_format(Runtime& runtime, std::string_view format,
                                 const Arguments& arguments) {
  SPILLWAY_TRY(runtime.make(format.size()));
  return BraceFormatter(runtime, format, arguments).run();
}

Result<Value> text_list(Runtime& runtime, const std::vector<std::string_view>& parts,
                        SequenceKind kind) {
  SPILLWAY_TRY(runtime.step(parts.size()));
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    SPILLWAY_ASSIGN(Value item, runtime.text(std::string(part)));
    items.push_back(std::move(item));
  }
  return runtime.sequence(std::move(items), kind);
}

}  // namespace spillway::formats::jinja
