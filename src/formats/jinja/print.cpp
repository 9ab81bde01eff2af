#include "formats/jinja/print.h"

#include <algorithm>

#include "formats/jinja/ast.h"
#include "formats/jinja/functions.h"
#include "formats/jinja/methods.h"
#include "formats/jinja/numbers.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

constexpr char32_t kSurrogatesBegin = 0xD800;
constexpr char32_t kSurrogatesEnd = 0xE000;

void append_escaped(std::string& out, char32_t value) {
  if (value < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(value));
  } else if (value < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(value));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(value));
  }
}

class Printer {
 public:
  explicit Printer(Runtime& runtime) : runtime_(runtime) {}

  Result<std::string> print(const Value& value) {
    SPILLWAY_TRY(append(value));
    SPILLWAY_TRY(runtime_.make(out_.size()));
    return std::move(out_);
  }

 private:
  Result<void> append(const Value& value) {
    const Runtime::Descent descent(runtime_);
    SPILLWAY_TRY(descent.check());
    SPILLWAY_TRY(runtime_.step());
    if (out_.size() > runtime_.limits().output_bytes) return runtime_.make(out_.size());
    if (const std::string* text = value.text()) {
      SPILLWAY_TRY(runtime_.make(text->size()));
      out_ += value.get<Text>()->markup ? "Markup(" + quote(*text) + ")" : quote(*text);
      return {};
    }
    if (const Sequence* sequence = value.sequence()) return append_sequence(*sequence);
    if (const Dict* dict = value.dict()) return append_dict(*dict);
    if (Namespace* const* space = value.get<Namespace*>()) return append_namespace(**space);
    append_scalar(value);
    return {};
  }

  void append_scalar(const Value& value) {
    if (value.is_undefined()) {
      out_ += "Undefined";
    } else if (value.is_none()) {
      out_ += "None";
    } else if (const bool* flag = value.get<bool>()) {
      out_ += *flag ? "True" : "False";
    } else if (const int64_t* integer = value.get<int64_t>()) {
      out_ += std::to_string(*integer);
    } else if (const double* real = value.get<double>()) {
      out_ += format_float(*real);
    } else if (const LoopPtr* loop = value.get<LoopPtr>()) {
      out_ += fmt::format("<LoopContext {}/{}>", (*loop)->index0 + 1, (*loop)->items->items.size());
    } else if (const CallablePtr* callable = value.get<CallablePtr>()) {
      append_callable(**callable);
    }
  }

  void append_callable(const Callable& callable) {
    if (const auto* macro = std::get_if<Macro>(&callable.target)) {
      const std::string& name = macro->definition->name;
      out_ += fmt::format("<Macro {}>", name.empty() ? "anonymous" : quote(name));
    } else if (const auto* method = std::get_if<BoundMethod>(&callable.target)) {
      out_ += fmt::format("<built-in method {}>", method->method->name);
    } else {
      out_ += fmt::format("<function {}>", std::get<const Function*>(callable.target)->name);
    }
  }

  Result<void> append_items(const std::vector<Value>& items) {
    bool first = true;
    for (const Value& item : items) {
      if (!std::exchange(first, false)) out_ += ", ";
      SPILLWAY_TRY(append(item));
    }
    return {};
  }

  Result<void> append_sequence(const Sequence& sequence) {
    std::string_view open = "[";
    std::string_view close = "]";
    switch (sequence.kind) {
      case SequenceKind::kRange:
        out_ += sequence.label;
        return {};
      case SequenceKind::kGenerator:
        out_ += "<generator object>";
        return {};
      case SequenceKind::kTuple:
      case SequenceKind::kGroup:
        open = "(";
        close = sequence.items.size() == 1 ? ",)" : ")";
        break;
      case SequenceKind::kList:
        break;
      case SequenceKind::kDictKeys:
      case SequenceKind::kDictValues:
      case SequenceKind::kDictItems:
        out_ += type_name(Value(SequencePtr(SequencePtr(), &sequence)));
        open = "([";
        close = "])";
        break;
    }
    out_ += open;
    SPILLWAY_TRY(append_items(sequence.items));
    out_ += close;
    return {};
  }

  Result<void> append_dict(const Dict& dict) {
    out_ += "{";
    bool first = true;
    for (const auto& [key, value] : dict.entries()) {
      if (!std::exchange(first, false)) out_ += ", ";
      SPILLWAY_TRY(append(key));
      out_ += ": ";
      SPILLWAY_TRY(append(value));
    }
    out_ += "}";
    return {};
  }

  Result<void> append_namespace(const Namespace& space) {
    if (std::find(open_.begin(), open_.end(), &space) != open_.end()) {
      out_ += "<Namespace {...}>";
      return {};
    }
    open_.push_back(&space);
    out_ += "<Namespace {";
    bool first = true;
    for (const auto& [name, value] : space.attributes) {
      if (!std::exchange(first, false)) out_ += ", ";
      out_ += quote(name) + ": ";
      SPILLWAY_TRY(append(value));
    }
    out_ += "}>";
    open_.pop_back();
    return {};
  }

  Runtime& runtime_;
  std::string out_;
  std::vector<const Namespace*> open_;  // being printed: those that hold themselves end here
};

}  // namespace

std::string quote(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char mark = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, mark);
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const bool invalid = point.value >= kSurrogatesBegin && point.value < kSurrogatesEnd;
    if (point.value == '\n') {
      out += "\\n";
    } else if (point.value == '\r') {
      out += "\\r";
    } else if (point.value == '\t') {
      out += "\\t";
    } else if (point.value == '\\' || point.value == static_cast<unsigned char>(mark)) {
      out += '\\';
      out += text[at];
    } else if (invalid || !is_printable(point.value)) {
      append_escaped(out, point.value);
    } else {
      out += text.substr(at, point.size);
    }
    at += point.size;
  }
  return out + mark;
}

Result<std::string> to_text(Runtime& runtime, const Value& value) {
  if (const std::string* text = value.text()) {
    SPILLWAY_TRY(runtime.make(text->size()));
    return *text;
  }
  if (value.is_undefined()) return std::string();
  return to_repr(runtime, value);
}

Result<std::string> to_repr(Runtime& runtime, const Value& value) {
  return Printer(runtime).print(value);
}

}  // namespace spillway::formats::jinja
