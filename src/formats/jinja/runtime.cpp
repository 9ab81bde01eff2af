#include "formats/jinja/runtime.h"

#include <algorithm>

#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {

Runtime::~Runtime() {
  for (const LoopPtr& loop : loops_) loop->changed.reset();
}

Result<Namespace*> Runtime::new_namespace() {
  SPILLWAY_TRY(make(sizeof(Namespace)));
  return &namespaces_.emplace_back();
}

Result<void> Runtime::step(uint64_t steps) {
  steps_ += steps;
  if (steps_ <= limits_.steps) return {};
  return fail(ErrorCode::kBadFile, "the template takes more than {} steps", limits_.steps);
}

Result<void> Runtime::make(size_t bytes) {
  if (bytes > limits_.output_bytes)
    return fail(ErrorCode::kBadFile, "the template makes a value of more than {} bytes",
                limits_.output_bytes);
  made_bytes_ += bytes;
  if (made_bytes_ / kMadePerOutput > limits_.output_bytes)
    return fail(ErrorCode::kBadFile, "the template makes values of more than {} bytes in all",
                limits_.output_bytes * kMadePerOutput);
  return scan(bytes);
}

Result<Value> Runtime::text(std::string bytes) {
  SPILLWAY_TRY(make(bytes.size()));
  return Value(Text{std::make_shared<const std::string>(std::move(bytes))});
}

Result<Value> Runtime::sequence(std::vector<Value> items, SequenceKind kind) {
  SPILLWAY_TRY(step(items.size()));
  SPILLWAY_TRY(make(sizeof(Sequence) + items.size() * sizeof(Value)));
  auto sequence = std::make_shared<Sequence>();
  sequence->kind = kind;
  for (const Value& item : items) sequence->depth = std::max(sequence->depth, 1 + depth_of(item));
  if (sequence->depth > limits_.nesting)
    return fail(ErrorCode::kBadFile, "the template nests lists more than {} deep", limits_.nesting);
  sequence->items = std::move(items);
  return Value(SequencePtr(std::move(sequence)));
}

Result<Value> Runtime::dict(Dict dict) {
  SPILLWAY_TRY(step(dict.entries().size()));
  SPILLWAY_TRY(make(sizeof(Dict) + dict.entries().size() * 2 * sizeof(Value)));
  if (dict.depth > limits_.nesting)
    return fail(ErrorCode::kBadFile, "the template nests dictionaries more than {} deep",
                limits_.nesting);
  return Value(DictPtr(std::make_shared<const Dict>(std::move(dict))));
}

Result<void> Runtime::Descent::check() const {
  // A level of the source (an expression or a block) takes a few levels of evaluation, and macros
  // that call themselves multiply them.
  const size_t limit = 4 * runtime_.limits_.nesting;
  if (runtime_.depth_ <= limit) return {};
  return fail(ErrorCode::kBadFile, "the template evaluates more than {} levels deep", limit);
}

Result<void> charge(Runtime& runtime, const Value& value) {
  if (const std::string* text = value.text()) return runtime.scan(text->size());
  return {};
}

Result<SequencePtr> iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  if (const SequencePtr* sequence = value.get<SequencePtr>()) {
    SPILLWAY_TRY(runtime.step((*sequence)->items.size() / 16));
    if ((*sequence)->kind != SequenceKind::kGenerator) return *sequence;
    if (!std::exchange((*sequence)->used, true)) items = (*sequence)->items;
  } else if (const std::string* text = value.text()) {
    SPILLWAY_TRY(runtime.step(text->size()));
    for (size_t at = 0; at < text->size();) {
      const size_t size = code_point_at(*text, at).size;
      SPILLWAY_ASSIGN(Value item, runtime.text(text->substr(at, size)));
      items.push_back(std::move(item));
      at += size;
    }
  } else if (const Dict* dict = value.dict()) {
    for (const auto& entry : dict->entries()) items.push_back(entry.first);
  } else if (!value.is_undefined()) {
    return fail(ErrorCode::kBadFile, "'{}' object is not iterable", type_name(value));
  }
  SPILLWAY_ASSIGN(const Value list, runtime.sequence(std::move(items)));
  return *list.get<SequencePtr>();
}

Result<void> require_defined(const Value& value) {
  const Undefined* missing = value.get<Undefined>();
  if (missing == nullptr) return {};
  return fail(ErrorCode::kBadFile, "{}", missing->reason ? *missing->reason : "undefined value");
}

}  // namespace spillway::formats::jinja
