// The border between C and C++: every function of spillway/spillway.h is a call() whose body
// returns a Result. Here Results and exceptions become statuses and the thread's error text, and
// what a C program passed is looked at. Any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <optional>

#include "base/result.h"
#include "spillway/memory/budget.h"
#include "spillway/spillway.h"
#include "tensor/dtype.h"

namespace spillway::c_api {

// Keeps the text for spillway_last_error(); returns the status.
spillway_status tell(ErrorCode code, const char* message) noexcept;
const char* last_error() noexcept;

template <typename Body>
spillway_status call(const Body& body) noexcept {
  try {
    const Result<void> result = body();
    if (result) return SPILLWAY_OK;
    return tell(result.error().code, result.error().message.c_str());
  } catch (const std::exception& error) {
    return tell(ErrorCode::kMachine, error.what());  // std::bad_alloc
  } catch (...) {
    return tell(ErrorCode::kMachine, "an exception of an unknown type");
  }
}

struct Argument {
  const char* name;
  const void* pointer;
};

// kUsage: one of them is null.
Result<void> require(std::initializer_list<Argument> arguments);

// kUsage: the size is less than that of the first version, or what this version does not know is
// not zero.
Result<void> check_size(const void* structure, size_t size, size_t known_size);

// The fields of an options structure that a caller of this or another version has made.
template <typename Options>
Result<Options> read_options(const Options* given) {
  SPILLWAY_TRY(require({{"options", given}}));
  SPILLWAY_TRY(check_size(given, given->size, sizeof(Options)));
  return *given;
}

// Fills the caller's structure as far as both know it; what it has more becomes zero.
template <typename Statistics>
Result<void> write_statistics(Statistics values, Statistics* caller) {
  const size_t size = caller->size;
  if (size < sizeof(Statistics)) {
    return fail(ErrorCode::kUsage, "statistics->size is {}; write sizeof of the structure", size);
  }
  values.size = size;
  std::memset(static_cast<void*>(caller), 0, size);
  std::memcpy(static_cast<void*>(caller), &values, sizeof(Statistics));
  return {};
}

// kUsage: not one of the constants.
Result<memory::Tier> tier_of(spillway_tier tier);
Result<memory::Tag> tag_of(spillway_tag tag);
Result<DType> dtype_of(spillway_dtype dtype);
// A field without a meaning yet.
Result<void> check_reserved(int32_t value);

// 0 is the default, SPILLWAY_NO_BYTES nothing.
inline std::optional<uint64_t> bytes_of(uint64_t given) {
  if (given == 0) return std::nullopt;
  return given == SPILLWAY_NO_BYTES ? 0 : given;
}

}  // namespace spillway::c_api
