// Filters of single values: defaults, sizes, numbers, JSON, attributes.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "formats/jinja/arithmetic.h"
#include "formats/jinja/attributes.h"
#include "formats/jinja/filters.h"
#include "formats/jinja/json.h"
#include "formats/jinja/numbers.h"
#include "formats/jinja/signature.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

constexpr int64_t kMaxRoundDigits = 300;

Result<Value> filter_default(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"default_value", "boolean"}));
  if (!input.is_undefined() && !(bound.flag(1, false) && !is_truthy(input))) return input;
  if (bound.at(0) != nullptr) return *bound.at(0);
  return runtime.text({});
}

Result<Value> filter_length(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  size_t length = 0;
  const Sequence* sequence = input.sequence();
  if (const std::string* text = input.text()) {
    length = count_code_points(*text);
  } else if (sequence != nullptr && sequence->kind != SequenceKind::kGenerator) {
    length = sequence->items.size();
  } else if (const Dict* dict = input.dict()) {
    length = dict->entries().size();
  } else if (const LoopPtr* loop = input.get<LoopPtr>()) {
    length = (*loop)->items->items.size();
  } else if (!input.is_undefined()) {
    return fail(ErrorCode::kBadFile, "object of type '{}' has no len()", type_name(input));
  }
  return Value(static_cast<int64_t>(length));
}

bool fits_integer(double value) {
  return std::abs(value) < 9.2e18;
}

Result<Value> filter_int(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"default", "base"}));
  SPILLWAY_TRY(require_defined(input));
  SPILLWAY_ASSIGN(const int64_t base, bound.integer(1, 10));
  std::optional<double> real;
  if (const std::string* text = input.text()) {
    const bool known = base == 0 || (base >= 2 && base <= 36);
    if (const auto value = known ? parse_integer(*text, static_cast<int>(base)) : std::nullopt)
      return Value(*value);
    real = parse_float(*text);
  } else if (const auto integer = input.integer()) {
    return Value(*integer);
  } else if (input.is<double>()) {
    real = *input.get<double>();
  }
  if (real && std::isfinite(*real)) {
    if (!fits_integer(*real)) return fail(ErrorCode::kBadFile, "{} is too large", *real);
    return Value(static_cast<int64_t>(*real));
  }
  return bound.value(0, Value(int64_t{0}));
}

Result<Value> filter_float(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"default"}));
  SPILLWAY_TRY(require_defined(input));
  if (const auto number = input.number()) return Value(*number);
  if (const std::string* text = input.text()) {
    if (const auto value = parse_float(*text)) return Value(*value);
  }
  return bound.value(0, Value(0.0));
}

Result<Value> filter_abs(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_TRY(require_defined(input));
  if (const double* real = input.get<double>()) return Value(std::abs(*real));
  const auto integer = input.integer();
  if (!integer) return fail(ErrorCode::kBadFile, "bad operand type: '{}'", type_name(input));
  return *integer < 0 ? negate(input) : Result<Value>(Value(*integer));
}

Result<Value> filter_round(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"precision", "method"}));
  SPILLWAY_TRY(require_defined(input));
  SPILLWAY_ASSIGN(const int64_t precision, bound.integer(0, 0));
  SPILLWAY_ASSIGN(const auto given_method, bound.text(1));
  const std::string_view method = given_method.value_or("common");
  const auto number = input.number();
  if (!number) return fail(ErrorCode::kBadFile, "'{}' cannot be rounded", type_name(input));
  if (precision < -kMaxRoundDigits || precision > kMaxRoundDigits)
    return fail(ErrorCode::kBadFile, "the precision {} is too large", precision);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value(std::ceil(*number * scale) / scale);
  if (method == "floor") return Value(std::floor(*number * scale) / scale);
  if (method != "common") return fail(ErrorCode::kBadFile, "method must be common, ceil or floor");
  if (input.integer() && precision >= 0) return Value(*input.integer());
  if (precision < 0) return Value(std::nearbyint(*number * scale) / scale);
  // Decimal rounding of the exact value, ties to even, as Python's round has it.
  const std::string digits = fmt::format("{:.{}f}", *number, static_cast<int>(precision));
  return Value(parse_float(digits).value_or(*number));
}

Result<JsonStyle> json_style(Runtime& runtime, const Bound& bound) {
  JsonStyle style;
  style.ensure_ascii = bound.flag(0, false);
  const Value* indent = bound.at(1);
  if (indent != nullptr && !indent->is_none()) {
    style.item_separator = ",";
    if (indent->text() != nullptr) {
      style.indent = *indent->text();
    } else {
      SPILLWAY_ASSIGN(const int64_t width, bound.integer(1, 0));
      if (width > 0) SPILLWAY_TRY(runtime.make(static_cast<size_t>(width)));
      style.indent = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
    }
  }
  const Value* separators = bound.at(2);
  if (separators != nullptr && !separators->is_none()) {
    const Sequence* pair = separators->sequence();
    if (pair == nullptr || pair->items.size() != 2 || pair->items[0].text() == nullptr ||
        pair->items[1].text() == nullptr)
      return fail(ErrorCode::kBadFile, "separators must be two strings");
    style.item_separator = *pair->items[0].text();
    style.key_separator = *pair->items[1].text();
  }
  style.sort_keys = bound.flag(3, false);
  return style;
}

// Hugging Face's, which takes what json.dumps takes and does not escape for HTML.
Result<Value> filter_tojson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound,
                  Bound::bind(arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  SPILLWAY_ASSIGN(const JsonStyle style, json_style(runtime, bound));
  SPILLWAY_ASSIGN(std::string out, to_json(runtime, input, style));
  return runtime.text(std::move(out));
}

Result<Value> filter_attr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"name"}, 1));
  SPILLWAY_ASSIGN(const auto name, bound.text(0));
  if (!name) return fail(ErrorCode::kBadFile, "expected a name");
  if (input.dict() != nullptr) {
    // An attribute, not a key: only methods are left.
    SPILLWAY_ASSIGN(Value empty, runtime.dict({}));
    return get_attribute(runtime, empty, std::string(*name));
  }
  return get_attribute(runtime, input, std::string(*name));
}

constexpr Filter kValueTable[] = {
    {"default", filter_default}, {"d", filter_default},   {"length", filter_length},
    {"count", filter_length},    {"int", filter_int},     {"float", filter_float},
    {"abs", filter_abs},         {"round", filter_round}, {"tojson", filter_tojson},
    {"attr", filter_attr},
};

}  // namespace

const std::span<const Filter> kValueFilters = kValueTable;

}  // namespace spillway::formats::jinja
