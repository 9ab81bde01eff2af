// Result<T>: a value, or an Error with a code, and a message for the person who runs the program.
// Expected failures travel as Results through all layers; bugs are SPILLWAY_CHECKs (check.h).
// Values; any thread.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace spillway {

// Why an operation failed, as the program's exit code tells it.
enum class ErrorCode {
  kUsage = 2,         // what the user asked for makes no sense
  kBadFile = 3,       // bytes that we did not write are wrong
  kBudget = 4,        // a budget is too small
  kMachine = 5,       // disk, memory or driver failed
  kInterrupted = 130  // the user stopped it
};

struct Error {
  ErrorCode code;
  std::string message;  // what was wrong, with the values, and what to do
};

template <typename T>
using Result = tl::expected<T, Error>;

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
