#include "formats/jinja/compare.h"

#include <algorithm>

#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

enum class Order { kLess, kEqual, kGreater, kUnordered };

template <typename T>
Order order_of(const T& left, const T& right) {
  if (left < right) return Order::kLess;
  if (right < left) return Order::kGreater;
  return left == right ? Order::kEqual : Order::kUnordered;
}

// A whole number against a real one, without rounding the whole one.
Order order_numbers(const Value& left, const Value& right) {
  const auto left_whole = left.integer();
  const auto right_whole = right.integer();
  if (left_whole && right_whole) return order_of(*left_whole, *right_whole);
  return order_of(*left.number(), *right.number());
}

bool same_kind(const Sequence& left, const Sequence& right) {
  const auto plain = [](SequenceKind kind) {
    return kind == SequenceKind::kGroup ? SequenceKind::kTuple : kind;
  };
  return plain(left.kind) == plain(right.kind) && left.kind != SequenceKind::kGenerator;
}

Result<bool> equal_dicts(Runtime& runtime, const Dict& left, const Dict& right) {
  if (left.entries().size() != right.entries().size()) return false;
  for (const auto& [key, value] : left.entries()) {
    const Value* other = right.find(*key_identity(key));
    if (other == nullptr) return false;
    SPILLWAY_ASSIGN(const bool same, equal(runtime, value, *other));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_sequences(Runtime& runtime, const Sequence& left, const Sequence& right) {
  if (&left == &right) return true;
  if (!same_kind(left, right) || left.items.size() != right.items.size()) return false;
  for (size_t i = 0; i < left.items.size(); ++i) {
    SPILLWAY_ASSIGN(const bool same, equal(runtime, left.items[i], right.items[i]));
    if (!same) return false;
  }
  return true;
}

Result<Order> order(Runtime& runtime, const Value& left, const Value& right) {
  const Runtime::Descent descent(runtime);
  SPILLWAY_TRY(descent.check());
  SPILLWAY_TRY(runtime.step());
  SPILLWAY_TRY(require_defined(left));
  SPILLWAY_TRY(require_defined(right));
  if (left.number() && right.number()) return order_numbers(left, right);
  if (left.text() != nullptr && right.text() != nullptr) {
    SPILLWAY_TRY(runtime.scan(std::min(left.text()->size(), right.text()->size())));
    return order_of(*left.text(), *right.text());
  }
  const Sequence* a = left.sequence();
  const Sequence* b = right.sequence();
  if (a != nullptr && b != nullptr && same_kind(*a, *b) && a->kind <= SequenceKind::kGroup) {
    for (size_t i = 0; i < std::min(a->items.size(), b->items.size()); ++i) {
      SPILLWAY_ASSIGN(const bool same, equal(runtime, a->items[i], b->items[i]));
      if (!same) return order(runtime, a->items[i], b->items[i]);
    }
    return order_of(a->items.size(), b->items.size());
  }
  return fail(ErrorCode::kBadFile, "'<' not supported between instances of '{}' and '{}'",
              type_name(left), type_name(right));
}

}  // namespace

Result<bool> equal(Runtime& runtime, const Value& left, const Value& right) {
  const Runtime::Descent descent(runtime);
  SPILLWAY_TRY(descent.check());
  SPILLWAY_TRY(runtime.step());
  if (left.number() && right.number()) return order_numbers(left, right) == Order::kEqual;
  if (left.variant().index() != right.variant().index()) return false;
  if (left.is_undefined() || left.is_none()) return true;
  if (const std::string* text = left.text()) {
    if (text->size() != right.text()->size()) return false;
    SPILLWAY_TRY(runtime.scan(text->size()));
    return *text == *right.text();
  }
  if (left.sequence() != nullptr)
    return equal_sequences(runtime, *left.sequence(), *right.sequence());
  if (left.dict() != nullptr) return equal_dicts(runtime, *left.dict(), *right.dict());
  if (Namespace* const* space = left.get<Namespace*>()) return *space == *right.get<Namespace*>();
  if (const LoopPtr* loop = left.get<LoopPtr>()) return *loop == *right.get<LoopPtr>();
  return *left.get<CallablePtr>() == *right.get<CallablePtr>();
}

Result<bool> less(Runtime& runtime, const Value& left, const Value& right) {
  SPILLWAY_ASSIGN(const Order result, order(runtime, left, right));
  return result == Order::kLess;
}

Result<bool> less_or_equal(Runtime& runtime, const Value& left, const Value& right) {
  SPILLWAY_ASSIGN(const Order result, order(runtime, left, right));
  return result == Order::kLess || result == Order::kEqual;
}

Result<bool> contains(Runtime& runtime, const Value& container, const Value& item) {
  if (const std::string* text = container.text()) {
    if (item.text() == nullptr)
      return fail(ErrorCode::kBadFile, "'in <string>' requires string as left operand, not {}",
                  type_name(item));
    SPILLWAY_TRY(runtime.scan(text->size()));
    return find_text(*text, *item.text()) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) {
    const auto identity = key_identity(item);
    if (!identity) return fail(ErrorCode::kBadFile, "unhashable type: '{}'", type_name(item));
    SPILLWAY_TRY(runtime.scan(identity->size()));
    return dict->find(*identity) != nullptr;
  }
  SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, container));
  for (const Value& candidate : items->items) {
    SPILLWAY_ASSIGN(const bool same, equal(runtime, candidate, item));
    if (same) return true;
  }
  return false;
}

Result<std::vector<size_t>> sorted_order(Runtime& runtime, const std::vector<Value>& keys,
                                         bool reverse) {
  std::vector<size_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  Result<void> outcome;
  // After a failure all keys count as equal, which ends the sort soon and within bounds.
  const auto before = [&](size_t a, size_t b) {
    if (!outcome) return false;
    const auto result = reverse ? less(runtime, keys[b], keys[a]) : less(runtime, keys[a], keys[b]);
    if (!result) outcome = tl::make_unexpected(result.error());
    return result.value_or(false);
  };
  std::stable_sort(order.begin(), order.end(), before);
  SPILLWAY_TRY(std::move(outcome));
  return order;
}

}  // namespace spillway::formats::jinja
