#include "formats/jinja/functions.h"

#include <array>
#include <ctime>

#include "formats/jinja/compare.h"
#include "formats/jinja/print.h"
#include "formats/jinja/signature.h"

namespace spillway::formats::jinja {
namespace {

constexpr uint64_t kMaxRange = 100'000;             // as jinja2's sandbox
constexpr size_t kMaxTimeBytes = size_t{64} << 10;  // of a formatted time

Result<Value> make_range(Runtime& runtime, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"start", "stop", "step"}, 1));
  if (!arguments.named.empty()) return fail(ErrorCode::kBadFile, "takes no keyword arguments");
  SPILLWAY_ASSIGN(int64_t start, bound.integer(0, 0));
  SPILLWAY_ASSIGN(int64_t stop, bound.integer(1, 0));
  SPILLWAY_ASSIGN(const int64_t step, bound.integer(2, 1));
  if (bound.at(1) == nullptr) stop = std::exchange(start, 0);
  if (step == 0) return fail(ErrorCode::kBadFile, "the third argument must not be zero");
  uint64_t count = 0;
  if (step > 0 ? start < stop : stop < start) {
    const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                       : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
    const uint64_t stride =
        step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
    count = (distance - 1) / stride + 1;
  }
  if (count > kMaxRange)
    return fail(ErrorCode::kBadFile, "a range of {} elements is larger than {}", count, kMaxRange);
  SPILLWAY_TRY(runtime.step(count));
  auto range = std::make_shared<Sequence>();
  range->kind = SequenceKind::kRange;
  range->label = step == 1 ? fmt::format("range({}, {})", start, stop)
                           : fmt::format("range({}, {}, {})", start, stop, step);
  for (uint64_t i = 0; i < count; ++i)
    range->items.emplace_back(start + static_cast<int64_t>(i) * step);
  SPILLWAY_TRY(runtime.make(sizeof(Sequence) + count * sizeof(Value)));
  return Value(SequencePtr(std::move(range)));
}

// dict(): of a mapping or of pairs, and of keyword arguments.
Result<Dict> build_dict(Runtime& runtime, const Arguments& arguments) {
  Dict dict;
  if (arguments.positional.size() > 1)
    return fail(ErrorCode::kBadFile, "takes at most one positional argument");
  for (const Value& argument : arguments.positional) {
    if (argument.dict() != nullptr) {
      dict = *argument.dict();
      continue;
    }
    SPILLWAY_ASSIGN(const SequencePtr pairs, iterate(runtime, argument));
    for (const Value& pair : pairs->items) {
      SPILLWAY_ASSIGN(const SequencePtr items, iterate(runtime, pair));
      const auto identity = items->items.size() == 2 ? key_identity(items->items[0]) : std::nullopt;
      if (!identity) return fail(ErrorCode::kBadFile, "needs pairs of a key and a value");
      SPILLWAY_TRY(runtime.make(identity->size()));
      dict.set(*identity, items->items[0], items->items[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) {
    SPILLWAY_ASSIGN(Value key, runtime.text(name));
    dict.set(text_identity(name), std::move(key), value);
  }
  return dict;
}

Result<Value> make_dict(Runtime& runtime, const Arguments& arguments) {
  SPILLWAY_ASSIGN(Dict dict, build_dict(runtime, arguments));
  return runtime.dict(std::move(dict));
}

Result<Value> make_namespace(Runtime& runtime, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Dict dict, build_dict(runtime, arguments));
  SPILLWAY_ASSIGN(Namespace * space, runtime.new_namespace());
  for (const auto& [key, value] : dict.entries()) {
    if (key.text() != nullptr) space->attributes.emplace_back(*key.text(), value);
  }
  return Value(space);
}

Result<Value> raise_exception(Runtime& runtime, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"message"}, 1));
  SPILLWAY_ASSIGN(const std::string message, to_text(runtime, *bound.at(0)));
  return fail(ErrorCode::kUsage, "{}", message);
}

// Python's datetime.now() has no zone, so that %z and %Z are empty; microseconds are none here.
std::string without_zone(std::string_view format) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const char directive = format[++i];
    if (directive == 'f') {
      out += "000000";
    } else if (directive != 'z' && directive != 'Z') {
      out += '%';
      out += directive;
    }
  }
  return out;
}

Result<Value> strftime_now(Runtime& runtime, const Arguments& arguments) {
  SPILLWAY_ASSIGN(const Bound bound, Bound::bind(arguments, {"format"}, 1));
  SPILLWAY_ASSIGN(const auto format, bound.text(0));
  if (!format) return fail(ErrorCode::kBadFile, "needs a format");
  if (format->empty()) return runtime.text({});
  // A space more, so that an empty result differs from one that does not fit.
  const std::string safe = without_zone(format->substr(0, format->find('\0'))) + " ";
  std::string out(kMaxTimeBytes, '\0');
  SPILLWAY_TRY(runtime.make(out.size()));
  // Through a pointer, as the compiler wants to read the formats that strftime itself is given.
  size_t (*format_time)(char*, size_t, const char*, const std::tm*) = &std::strftime;
  out.resize(format_time(out.data(), out.size(), safe.c_str(), &runtime.now()));
  if (out.empty())
    return fail(ErrorCode::kBadFile, "the formatted time is longer than {} bytes", kMaxTimeBytes);
  out.pop_back();
  return runtime.text(std::move(out));
}

constexpr std::array<Function, 5> kFunctions = {{{"range", make_range},
                                                 {"dict", make_dict},
                                                 {"namespace", make_namespace},
                                                 {"raise_exception", raise_exception},
                                                 {"strftime_now", strftime_now}}};

}  // namespace

const Function* find_function(std::string_view name) {
  for (const Function& function : kFunctions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

}  // namespace spillway::formats::jinja
