#include "formats/jinja/signature.h"

#include <algorithm>

namespace spillway::formats::jinja {

Result<Bound> Bound::bind(const Arguments& arguments,
                          std::initializer_list<std::string_view> parameters, size_t required) {
  Bound bound;
  if (arguments.positional.size() > parameters.size())
    return fail(ErrorCode::kBadFile, "takes at most {} arguments, {} were given", parameters.size(),
                arguments.positional.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    bound.values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(parameters.begin(), parameters.end(), name);
    if (it == parameters.end()) return fail(ErrorCode::kBadFile, "has no parameter '{}'", name);
    const Value*& slot = bound.values_[static_cast<size_t>(it - parameters.begin())];
    if (slot != nullptr) return fail(ErrorCode::kBadFile, "got '{}' twice", name);
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound.values_[i] == nullptr)
      return fail(ErrorCode::kBadFile, "needs the argument '{}'", *(parameters.begin() + i));
  }
  return bound;
}

Value Bound::value(size_t parameter, const Value& otherwise) const {
  return values_[parameter] == nullptr ? otherwise : *values_[parameter];
}

bool Bound::flag(size_t parameter, bool otherwise) const {
  return values_[parameter] == nullptr ? otherwise : is_truthy(*values_[parameter]);
}

Result<int64_t> Bound::integer(size_t parameter, int64_t otherwise) const {
  if (values_[parameter] == nullptr) return otherwise;
  const auto integer = values_[parameter]->integer();
  if (integer) return *integer;
  return fail(ErrorCode::kBadFile, "expected an integer, found '{}'",
              type_name(*values_[parameter]));
}

Result<std::optional<std::string_view>> Bound::text(size_t parameter) const {
  const Value* value = values_[parameter];
  if (value == nullptr || value->is_none()) return std::optional<std::string_view>();
  if (value->text() != nullptr) return std::optional<std::string_view>(*value->text());
  return fail(ErrorCode::kBadFile, "expected a string, found '{}'", type_name(*value));
}

}  // namespace spillway::formats::jinja
