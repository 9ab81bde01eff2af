#include "formats/jinja/tests.h"

#include "formats/jinja/arithmetic.h"
#include "formats/jinja/compare.h"
#include "formats/jinja/filters.h"
#include "formats/jinja/print.h"
#include "formats/jinja/signature.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

bool is_boolean(const Value& value, bool wanted) {
  const bool* flag = value.get<bool>();
  return flag != nullptr && *flag == wanted;
}

// What `is` can tell from the value alone.
template <auto Predicate>
Result<bool> simple(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  return Predicate(input);
}

bool is_defined(const Value& v) {
  return !v.is_undefined();
}
bool is_undefined(const Value& v) {
  return v.is_undefined();
}
bool is_none(const Value& v) {
  return v.is_none();
}
bool is_bool(const Value& v) {
  return v.is<bool>();
}
bool is_true(const Value& v) {
  return is_boolean(v, true);
}
bool is_false(const Value& v) {
  return is_boolean(v, false);
}
bool is_integer(const Value& v) {
  return v.is<int64_t>();
}
bool is_float(const Value& v) {
  return v.is<double>();
}
bool is_number(const Value& v) {
  return v.number().has_value();
}
bool is_string(const Value& v) {
  return v.text() != nullptr;
}
bool is_mapping(const Value& v) {
  return v.dict() != nullptr;
}
bool is_iterable(const Value& v) {
  return v.text() != nullptr || v.sequence() != nullptr || v.dict() != nullptr ||
         v.is_undefined() || v.is<LoopPtr>();
}
bool is_sequence(const Value& v) {
  const Sequence* sequence = v.sequence();
  return v.text() != nullptr || v.dict() != nullptr || v.is_undefined() ||
         (sequence != nullptr && sequence->kind <= SequenceKind::kRange);
}
bool is_callable(const Value& v) {
  return v.is<CallablePtr>() || v.is<LoopPtr>() || v.is_undefined();
}
bool is_escaped(const Value& v) {
  return v.is<Text>() && v.get<Text>()->markup;
}

Result<Value> modulo(Runtime& runtime, const Value& input, const Value& divisor) {
  return apply(runtime, Operator::kModulo, input, divisor);
}

Result<bool> test_odd(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(const Value rest, modulo(runtime, input, Value(int64_t{2})));
  return equal(runtime, rest, Value(int64_t{1}));
}

Result<bool> test_even(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(const Value rest, modulo(runtime, input, Value(int64_t{2})));
  return equal(runtime, rest, Value(int64_t{0}));
}

Result<bool> test_divisible(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"num"}, 1));
  SPILLWAY_ASSIGN(const Value rest, modulo(runtime, input, *bound.at(0)));
  return equal(runtime, rest, Value(int64_t{0}));
}

Result<bool> test_filter(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  return input.text() != nullptr && find_filter(*input.text()) != nullptr;
}

Result<bool> test_test(Runtime&, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  return input.text() != nullptr && find_test(*input.text()) != nullptr;
}

Result<bool> test_lower(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  return is_lower(text);
}

Result<bool> test_upper(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_TRY(Bound::bind(arguments, {}));
  SPILLWAY_ASSIGN(const std::string text, to_text(runtime, input));
  return is_upper(text);
}

// Python's `is`: the same object, which for our values is the same address, or an equal singleton.
Result<bool> test_same(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"other"}, 1));
  const Value& other = *bound.at(0);
  if (input.variant().index() != other.variant().index()) return false;
  if (const Text* text = input.get<Text>()) return text->bytes == other.get<Text>()->bytes;
  if (input.sequence() != nullptr) return input.sequence() == other.sequence();
  if (input.dict() != nullptr) return input.dict() == other.dict();
  return equal(runtime, input, other);
}

Result<bool> test_in(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"seq"}, 1));
  return contains(runtime, *bound.at(0), input);
}

using Relation = Result<bool> (*)(Runtime&, const Value&, const Value&);

template <Relation relation, bool swapped = false, bool negated = false>
Result<bool> relate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"other"}, 1));
  SPILLWAY_ASSIGN(const bool holds, swapped ? relation(runtime, *bound.at(0), input)
                                            : relation(runtime, input, *bound.at(0)));
  return holds != negated;
}

constexpr Test kTests[] = {
    {"defined", simple<is_defined>},
    {"undefined", simple<is_undefined>},
    {"none", simple<is_none>},
    {"boolean", simple<is_bool>},
    {"true", simple<is_true>},
    {"false", simple<is_false>},
    {"integer", simple<is_integer>},
    {"float", simple<is_float>},
    {"number", simple<is_number>},
    {"string", simple<is_string>},
    {"mapping", simple<is_mapping>},
    {"iterable", simple<is_iterable>},
    {"sequence", simple<is_sequence>},
    {"callable", simple<is_callable>},
    {"escaped", simple<is_escaped>},
    {"odd", test_odd},
    {"even", test_even},
    {"divisibleby", test_divisible},
    {"filter", test_filter},
    {"test", test_test},
    {"lower", test_lower},
    {"upper", test_upper},
    {"sameas", test_same},
    {"in", test_in},
    {"eq", relate<equal>},
    {"==", relate<equal>},
    {"equalto", relate<equal>},
    {"ne", relate<equal, false, true>},
    {"!=", relate<equal, false, true>},
    {"lt", relate<less>},
    {"<", relate<less>},
    {"lessthan", relate<less>},
    {"le", relate<less_or_equal>},
    {"<=", relate<less_or_equal>},
    {"gt", relate<less, true>},
    {">", relate<less, true>},
    {"greaterthan", relate<less, true>},
    {"ge", relate<less_or_equal, true>},
    {">=", relate<less_or_equal, true>},
};

}  // namespace

const Test* find_test(std::string_view name) {
  for (const Test& test : kTests) {
    if (test.name == name) return &test;
  }
  return nullptr;
}

Result<bool> apply_test(Runtime& runtime, const Test& test, const Value& input,
                        const Arguments& arguments) {
  auto result = test.apply(runtime, input, arguments);
  if (result) return result;
  return fail_within(test.name, std::move(result).error());
}

}  // namespace spillway::formats::jinja
