// text % values: Python's printf-style formatting, without %c of numbers and without `*`.
#include <algorithm>
#include <cmath>
#include <optional>

#include "formats/jinja/arithmetic.h"
#include "formats/jinja/print.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

constexpr int64_t kMaxPrecision = 300;

struct Directive {
  std::string flags;
  size_t width = 0;
  std::optional<int64_t> precision;
  char type = 0;

  bool has(char flag) const { return flags.find(flag) != std::string::npos; }
};

std::string pad(std::string body, const Directive& directive, bool number) {
  const size_t size = count_code_points(body);
  if (size >= directive.width) return body;
  const size_t missing = directive.width - size;
  if (directive.has('-')) return body + std::string(missing, ' ');
  if (!number || !directive.has('0')) return std::string(missing, ' ') + body;
  size_t sign = body.starts_with('-') || body.starts_with('+') || body.starts_with(' ') ? 1 : 0;
  if (body.substr(sign).starts_with("0x") || body.substr(sign).starts_with("0X")) sign += 2;
  return body.substr(0, sign) + std::string(missing, '0') + body.substr(sign);
}

std::string signed_text(std::string digits, bool negative, const Directive& directive) {
  if (negative) return "-" + digits;
  if (directive.has('+')) return "+" + digits;
  if (directive.has(' ')) return " " + digits;
  return digits;
}

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view format, const Value& values)
      : runtime_(runtime), format_(format), values_(values) {
    const Sequence* sequence = values.sequence();
    tuple_ = sequence != nullptr && sequence->kind == SequenceKind::kTuple ? sequence : nullptr;
  }

  Result<std::string> run() {
    while (at_ < format_.size()) {
      if (format_[at_] != '%') {
        out_ += format_[at_++];
        continue;
      }
      ++at_;
      SPILLWAY_TRY(convert());
    }
    if (!used_all())
      return fail(ErrorCode::kBadFile, "not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  // A value that could be asked by key need not be used.
  bool used_all() const {
    if (tuple_ != nullptr) return used_ == tuple_->items.size();
    const Sequence* sequence = values_.sequence();
    const bool has_keys = values_.dict() != nullptr ||
                          (sequence != nullptr && sequence->kind <= SequenceKind::kRange);
    return used_ > 0 || has_keys;
  }

  Result<void> convert() {
    const Value* named = nullptr;
    if (at_ < format_.size() && format_[at_] == '(') {
      const size_t close = format_.find(')', at_);
      const std::string_view name = format_.substr(at_ + 1, close - at_ - 1);
      if (close == std::string_view::npos || values_.dict() == nullptr)
        return fail(ErrorCode::kBadFile, "format requires a mapping");
      named = values_.dict()->find_text(name);
      if (named == nullptr)
        return fail(ErrorCode::kBadFile, "the format's key {} is missing", quote(name));
      at_ = close + 1;
    }
    SPILLWAY_ASSIGN(const Directive directive, read_directive());
    if (directive.type == '%') {
      out_ += '%';
      return {};
    }
    if (named == nullptr) {
      SPILLWAY_ASSIGN(named, next());
    }
    SPILLWAY_ASSIGN(const std::string body, format_one(directive, *named));
    SPILLWAY_TRY(runtime_.make(body.size()));
    out_ += body;
    return {};
  }

  Result<Directive> read_directive() {
    Directive directive;
    const auto digits = [&]() -> Result<int64_t> {
      int64_t value = 0;
      for (; at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9'; ++at_) {
        value = value * 10 + (format_[at_] - '0');
        SPILLWAY_TRY(runtime_.make(static_cast<size_t>(value)));
      }
      return value;
    };
    while (at_ < format_.size() &&
           std::string_view("-+ 0#").find(format_[at_]) != std::string_view::npos)
      directive.flags += format_[at_++];
    SPILLWAY_ASSIGN(const int64_t width, digits());
    directive.width = static_cast<size_t>(width);
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      SPILLWAY_ASSIGN(directive.precision, digits());
    }
    if (at_ == format_.size()) return fail(ErrorCode::kBadFile, "incomplete format");
    directive.type = format_[at_++];
    return directive;
  }

  Result<const Value*> next() {
    if (tuple_ == nullptr && used_ == 0) {
      ++used_;
      return &values_;
    }
    if (tuple_ != nullptr && used_ < tuple_->items.size()) return &tuple_->items[used_++];
    return fail(ErrorCode::kBadFile, "not enough arguments for format string");
  }

  Result<std::string> format_one(const Directive& directive, const Value& value) {
    switch (directive.type) {
      case 's':
      case 'r': {
        SPILLWAY_ASSIGN(std::string body, directive.type == 's' ? to_text(runtime_, value)
                                                                : to_repr(runtime_, value));
        if (directive.precision) {
          const auto starts = code_point_starts(body);
          const auto keep = std::min(starts.size() - 1, static_cast<size_t>(*directive.precision));
          body.resize(starts[keep]);
        }
        return pad(std::move(body), directive, false);
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return format_integer(directive, value);
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        return format_real(directive, value);
      default:
        return fail(ErrorCode::kBadFile, "unsupported format character '{}'", directive.type);
    }
  }

  Result<std::string> format_integer(const Directive& directive, const Value& value) {
    const auto number = value.number();
    if (!number || (value.is<double>() && (!(std::abs(*number) < 9e18) || directive.type == 'x' ||
                                           directive.type == 'X' || directive.type == 'o')))
      return fail(ErrorCode::kBadFile, "%{} format: an integer is required, not {}", directive.type,
                  type_name(value));
    const int64_t integer = value.integer().value_or(static_cast<int64_t>(*number));
    const uint64_t magnitude =
        integer < 0 ? 0 - static_cast<uint64_t>(integer) : static_cast<uint64_t>(integer);
    std::string digits = directive.type == 'x'   ? fmt::format("{:x}", magnitude)
                         : directive.type == 'X' ? fmt::format("{:X}", magnitude)
                         : directive.type == 'o' ? fmt::format("{:o}", magnitude)
                                                 : fmt::format("{}", magnitude);
    const auto wanted = static_cast<size_t>(directive.precision.value_or(0));
    if (digits.size() < wanted) digits.insert(0, wanted - digits.size(), '0');
    const bool prefixed = directive.has('#') && (directive.type | 0x20) != 'd';
    if (prefixed && directive.type != 'i' && directive.type != 'u')
      digits.insert(0, std::string{'0', directive.type});
    return pad(signed_text(std::move(digits), integer < 0, directive), directive, true);
  }

  Result<std::string> format_real(const Directive& directive, const Value& value) {
    const auto number = value.number();
    if (!number) return fail(ErrorCode::kBadFile, "must be real number, not {}", type_name(value));
    const int64_t precision = directive.precision.value_or(6);
    if (precision > kMaxPrecision)
      return fail(ErrorCode::kBadFile, "the precision {} is too large", precision);
    const std::string spec = fmt::format("{{:.{}{}}}", precision, directive.type);
    std::string digits = fmt::format(fmt::runtime(spec), std::abs(*number));
    return pad(signed_text(std::move(digits), std::signbit(*number), directive), directive, true);
  }

  Runtime& runtime_;
  std::string_view format_;
  const Value& values_;
  const Sequence* tuple_ = nullptr;
  std::string out_;
  size_t at_ = 0;
  size_t used_ = 0;
};

}  // namespace

Result<std::string> percent_format(Runtime& runtime, const std::string& format,
                                   const Value& values) {
  SPILLWAY_TRY(runtime.make(format.size()));
  return PercentFormatter(runtime, format, values).run();
}

}  // namespace spillway::formats::jinja
