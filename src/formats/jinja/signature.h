// Python's rules for giving arguments to parameters, for the built-in filters, tests, methods and
// functions. Borrows the arguments. One render, one thread.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

class Bound {
 public:
  static constexpr size_t kMaxParameters = 5;

  // The first `required` parameters must be given. Fails on too many or unknown arguments.
  static Result<Bound> bind(const Arguments& arguments,
                            std::initializer_list<std::string_view> parameters,
                            size_t required = 0);

  const Value* at(size_t parameter) const { return values_[parameter]; }  // null if not given
  Value value(size_t parameter, const Value& otherwise) const;
  bool flag(size_t parameter, bool otherwise) const;
  Result<int64_t> integer(size_t parameter, int64_t otherwise) const;
  // The text of a parameter that must be one; none if it is missing or None.
  Result<std::optional<std::string_view>> text(size_t parameter) const;

 private:
  std::array<const Value*, kMaxParameters> values_{};
};

}  // namespace spillway::formats::jinja
