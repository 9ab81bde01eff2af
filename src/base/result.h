// How the errors of spillway/types.h are made and passed on. Expected failures travel as Results
// through all layers; bugs are SPILLWAY_CHECKs (check.h).
// Values; any thread.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

#include "spillway/types.h"

namespace spillway {

// fail(ErrorCode::kBadFile, "offset {} lies past the end", offset): converts to any Result<T>.
template <typename... Arguments>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Arguments...> format,
                                         Arguments&&... arguments) {
  return tl::make_unexpected(
      Error{code, fmt::format(format, std::forward<Arguments>(arguments)...)});
}

// The same error with where it happened put in front: "model.gguf: offset 7 lies past the end".
[[nodiscard]] inline tl::unexpected<Error> fail_within(std::string_view context, Error error) {
  error.message = fmt::format("{}: {}", context, error.message);
  return tl::make_unexpected(std::move(error));
}

}  // namespace spillway

#define SPILLWAY_CONCAT_INNER(a, b) a##b
#define SPILLWAY_CONCAT(a, b) SPILLWAY_CONCAT_INNER(a, b)

// Returns the error of a Result<...> from the enclosing function, if it is one.
#define SPILLWAY_TRY(expression)                                        \
  do {                                                                  \
    if (auto spillway_result = (expression); !spillway_result)          \
      return ::tl::make_unexpected(std::move(spillway_result).error()); \
  } while (false)

// SPILLWAY_ASSIGN(auto file, open(path)): declares or assigns the value, or returns the error.
#define SPILLWAY_ASSIGN(target, expression) \
  SPILLWAY_ASSIGN_AS(SPILLWAY_CONCAT(spillway_result_, __LINE__), target, expression)
#define SPILLWAY_ASSIGN_AS(name, target, expression)                \
  auto name = (expression);                                         \
  if (!name) return ::tl::make_unexpected(std::move(name).error()); \
  target = std::move(*name)
