// The values that a template computes with: Python's, as far as chat templates go. Values are
// immutable and shared; only namespaces and loops change, and those belong to the Runtime or to the
// running loop, so that no cycle of ownership can arise. One render, one thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace spillway::formats::jinja {

struct Sequence;
class Dict;
struct Namespace;
struct LoopState;
struct Callable;

// A value that is not there. Printing and iterating it is allowed, most else fails with `reason`.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};
struct None {};
struct Text {
  std::shared_ptr<const std::string> bytes;
  bool markup = false;  // came out of `safe`: what is added to it gets escaped
};
using SequencePtr = std::shared_ptr<const Sequence>;
using DictPtr = std::shared_ptr<const Dict>;
using LoopPtr = std::shared_ptr<LoopState>;
using CallablePtr = std::shared_ptr<const Callable>;

template <typename T>
concept Alternative = std::same_as<T, Undefined> || std::same_as<T, None> ||
    std::same_as<T, bool> || std::same_as<T, int64_t> || std::same_as<T, double> ||
    std::same_as<T, Text> || std::same_as<T, SequencePtr> || std::same_as<T, DictPtr> ||
    std::same_as<T, Namespace*> || std::same_as<T, LoopPtr> || std::same_as<T, CallablePtr>;

class Value {
 public:
  using Variant = std::variant<Undefined, None, bool, int64_t, double, Text, SequencePtr, DictPtr,
                               Namespace*, LoopPtr, CallablePtr>;

  Value();  // undefined
  // Out of line: inlined, they are large, and GCC 12 warns of uninitialized members in them.
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();
  // Exactly one of the alternatives: nothing converts on the way.
  template <Alternative T>
  explicit Value(T value) : variant_(std::move(value)) {}

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(variant_);
  }
  template <typename T>
  const T* get() const {
    return std::get_if<T>(&variant_);
  }
  const Variant& variant() const { return variant_; }

  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  // Null if it is of another type.
  const std::string* text() const {
    const Text* text = get<Text>();
    return text == nullptr ? nullptr : text->bytes.get();
  }
  const Sequence* sequence() const {
    const SequencePtr* pointer = get<SequencePtr>();
    return pointer == nullptr ? nullptr : pointer->get();
  }
  const Dict* dict() const {
    const DictPtr* pointer = get<DictPtr>();
    return pointer == nullptr ? nullptr : pointer->get();
  }
  // Booleans are integers in Python.
  std::optional<int64_t> integer() const {
    if (const int64_t* number = get<int64_t>()) return *number;
    if (const bool* flag = get<bool>()) return *flag ? 1 : 0;
    return std::nullopt;
  }
  std::optional<double> number() const {
    if (const double* real = get<double>()) return *real;
    if (const auto whole = integer()) return static_cast<double>(*whole);
    return std::nullopt;
  }

 private:
  Variant variant_;
};

enum class SequenceKind {
  kList,
  kTuple,
  kGroup,      // a tuple with the attributes grouper and list
  kRange,      // printed as its label
  kGenerator,  // can be iterated once and has no length
  kDictKeys,
  kDictValues,
  kDictItems,
};

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  std::vector<Value> items;
  size_t depth = 1;           // of containers in containers, this one included
  std::string label;          // kRange
  mutable bool used = false;  // kGenerator
};

// Insertion-ordered. Keys are found by `identity`, a text that is equal exactly for equal keys.
class Dict {
 public:
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  const Value* find(const std::string& identity) const;
  const Value* find_text(std::string_view key) const;
  void set(std::string identity, Value key, Value value);

  size_t depth = 1;

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string, size_t> index_;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
};

struct ForStatement;
struct MacroDefinition;
struct Scope;

struct LoopState {
  const ForStatement* statement = nullptr;
  Scope* outer = nullptr;
  SequencePtr items;
  size_t index0 = 0;
  size_t depth0 = 0;
  std::optional<std::vector<Value>> changed;  // what loop.changed was last called with
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Method;
struct Function;

struct BoundMethod {
  Value self;
  const Method* method;
};
struct Macro {
  const MacroDefinition* definition;
  Scope* closure;
};
struct Callable {
  std::variant<const Function*, BoundMethod, Macro> target;
};

size_t depth_of(const Value& value);
// Python's name of the type, for messages.
std::string_view type_name(const Value& value);
bool is_truthy(const Value& value);
Value undefined(std::string reason);
// The text by which a dictionary finds a key; nothing for a value that cannot be a key.
std::optional<std::string> key_identity(const Value& key);
std::string text_identity(std::string_view key);

}  // namespace spillway::formats::jinja
