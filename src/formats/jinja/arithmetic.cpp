#include "formats/jinja/arithmetic.h"

#include <cmath>
#include <limits>

#include "formats/jinja/print.h"

namespace spillway::formats::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

auto too_large() {
  return fail(ErrorCode::kBadFile, "a number in the template is too large");
}

auto division_by_zero() {
  return fail(ErrorCode::kBadFile, "division by zero");
}

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return division_by_zero();
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  for (int64_t left = exponent;;) {
    if ((left & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return too_large();
    left >>= 1;
    if (left == 0) return Value(result);
    // A base of 0, 1 or -1 never overflows; any other does within 63 squarings.
    if (__builtin_mul_overflow(base, base, &base)) return too_large();
  }
}

Result<Value> apply_integers(Operator op, int64_t left, int64_t right) {
  int64_t result = 0;
  switch (op) {
    case Operator::kAdd:
      if (__builtin_add_overflow(left, right, &result)) return too_large();
      return Value(result);
    case Operator::kSubtract:
      if (__builtin_sub_overflow(left, right, &result)) return too_large();
      return Value(result);
    case Operator::kMultiply:
      if (__builtin_mul_overflow(left, right, &result)) return too_large();
      return Value(result);
    case Operator::kDivide:
      if (right == 0) return division_by_zero();
      return Value(static_cast<double>(left) / static_cast<double>(right));
    case Operator::kPower:
      return integer_power(left, right);
    default:
      break;
  }
  if (right == 0) return division_by_zero();
  if (right == -1) {
    if (op == Operator::kModulo) return Value(int64_t{0});
    if (left == std::numeric_limits<int64_t>::min()) return too_large();
    return Value(-left);
  }
  const int64_t remainder = left % right;
  const bool adjust = remainder != 0 && (remainder < 0) != (right < 0);
  if (op == Operator::kModulo) return Value(adjust ? remainder + right : remainder);
  return Value(left / right - (adjust ? 1 : 0));
}

Result<Value> divide_floor(Operator op, double left, double right) {
  if (right == 0.0) return division_by_zero();
  double remainder = std::fmod(left, right);
  double quotient = (left - remainder) / right;
  if (remainder != 0.0) {
    if ((right < 0) != (remainder < 0)) {
      remainder += right;
      quotient -= 1.0;
    }
  } else {
    remainder = std::copysign(0.0, right);
  }
  if (op == Operator::kModulo) return Value(remainder);
  if (quotient == 0.0) return Value(std::copysign(0.0, left / right));
  const double floor = std::floor(quotient);
  return Value(quotient - floor > 0.5 ? floor + 1.0 : floor);
}

Result<Value> apply_floats(Operator op, double left, double right) {
  switch (op) {
    case Operator::kAdd:
      return Value(left + right);
    case Operator::kSubtract:
      return Value(left - right);
    case Operator::kMultiply:
      return Value(left * right);
    case Operator::kDivide:
      if (right == 0.0) return division_by_zero();
      return Value(left / right);
    case Operator::kPower: {
      if (left == 0.0 && right < 0) return division_by_zero();
      const double result = std::pow(left, right);
      if (std::isnan(result) && !std::isnan(left) && !std::isnan(right))
        return fail(ErrorCode::kBadFile, "{} ** {} is not a real number", left, right);
      if (std::isinf(result) && !std::isinf(left) && !std::isinf(right)) return too_large();
      return Value(result);
    }
    default:
      return divide_floor(op, left, right);
  }
}

Result<Value> add_texts(Runtime& runtime, const Text& left, const Text& right) {
  SPILLWAY_TRY(runtime.make(left.bytes->size() + right.bytes->size()));
  const bool markup = left.markup || right.markup;
  const auto part = [&](const Text& text) {
    return markup && !text.markup ? escape_markup(*text.bytes) : *text.bytes;
  };
  return Value(Text{std::make_shared<const std::string>(part(left) + part(right)), markup});
}

Result<Value> repeat(Runtime& runtime, const Value& value, int64_t count) {
  const size_t times = count < 0 ? 0 : static_cast<size_t>(count);
  const std::string* text = value.text();
  const size_t size = text != nullptr ? text->size() : value.sequence()->items.size();
  size_t total = 0;
  if (__builtin_mul_overflow(size, times, &total) || total > runtime.limits().output_bytes)
    return runtime.make(std::numeric_limits<size_t>::max()).map([] { return Value(); });
  SPILLWAY_TRY(runtime.step(times == 0 || size == 0 ? 0 : total / 16));
  if (text != nullptr) {
    std::string out;
    out.reserve(total);
    for (size_t i = 0; i < (size == 0 ? 0 : times); ++i) out += *text;
    return runtime.text(std::move(out));
  }
  SPILLWAY_TRY(runtime.make(total * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(total);
  for (size_t i = 0; i < (size == 0 ? 0 : times); ++i)
    items.insert(items.end(), value.sequence()->items.begin(), value.sequence()->items.end());
  return runtime.sequence(std::move(items), value.sequence()->kind);
}

bool is_list_or_tuple(const Value& value) {
  return value.sequence() != nullptr && value.sequence()->kind <= SequenceKind::kGroup;
}

Result<Value> apply_containers(Runtime& runtime, Operator op, const Value& left,
                               const Value& right) {
  const std::string* text = left.text();
  if (op == Operator::kModulo && text != nullptr) {
    SPILLWAY_ASSIGN(std::string out, percent_format(runtime, *text, right));
    return runtime.text(std::move(out));
  }
  if (op == Operator::kMultiply) {
    const auto repeatable = [](const Value& v) {
      return v.text() != nullptr || is_list_or_tuple(v);
    };
    if (repeatable(left) && right.integer()) return repeat(runtime, left, *right.integer());
    if (repeatable(right) && left.integer()) return repeat(runtime, right, *left.integer());
  }
  if (op == Operator::kAdd) {
    if (text != nullptr && right.text() != nullptr)
      return add_texts(runtime, *left.get<Text>(), *right.get<Text>());
    if (is_list_or_tuple(left) && is_list_or_tuple(right) && type_name(left) == type_name(right)) {
      SPILLWAY_TRY(runtime.step(left.sequence()->items.size() + right.sequence()->items.size()));
      std::vector<Value> items = left.sequence()->items;
      items.insert(items.end(), right.sequence()->items.begin(), right.sequence()->items.end());
      const bool list = left.sequence()->kind == SequenceKind::kList;
      return runtime.sequence(std::move(items), list ? SequenceKind::kList : SequenceKind::kTuple);
    }
  }
  return fail(ErrorCode::kBadFile, "unsupported operand type(s) for {}: '{}' and '{}'",
              kSymbols[static_cast<size_t>(op)], type_name(left), type_name(right));
}

}  // namespace

Result<Value> apply(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  const bool formats = op == Operator::kModulo && left.text() != nullptr;
  SPILLWAY_TRY(require_defined(left));
  if (!formats) SPILLWAY_TRY(require_defined(right));
  if (left.integer() && right.integer())
    return apply_integers(op, *left.integer(), *right.integer());
  if (left.number() && right.number()) return apply_floats(op, *left.number(), *right.number());
  return apply_containers(runtime, op, left, right);
}

Result<Value> negate(const Value& value) {
  SPILLWAY_TRY(require_defined(value));
  if (const double* real = value.get<double>()) return Value(-*real);
  const auto integer = value.integer();
  if (!integer)
    return fail(ErrorCode::kBadFile, "bad operand type for unary -: '{}'", type_name(value));
  return apply_integers(Operator::kSubtract, 0, *integer);
}

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace spillway::formats::jinja
