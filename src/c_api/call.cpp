#include "c_api/call.h"

#include <cstdint>
#include <string>

namespace spillway::c_api {
namespace {

// The text of the thread's last error is the one thing that C has no place for but this.
struct LastError {
  std::string text;
  const char* shown = "";
};

LastError& of_this_thread() {
  thread_local LastError error;
  return error;
}

}  // namespace

spillway_status tell(ErrorCode code, const char* message) noexcept {
  LastError& error = of_this_thread();
  try {
    error.text = message;
    error.shown = error.text.c_str();
  } catch (const std::exception&) {
    error.shown = "there is no memory left, not even for the error's text";
  }
  return static_cast<spillway_status>(code);
}

const char* last_error() noexcept {
  return of_this_thread().shown;
}

Result<void> require(std::initializer_list<Argument> arguments) {
  for (const Argument& argument : arguments) {
    if (argument.pointer == nullptr) {
      return fail(ErrorCode::kUsage, "the argument '{}' is a null pointer", argument.name);
    }
  }
  return {};
}

Result<void> check_size(const void* structure, size_t size, size_t known_size) {
  if (size < known_size) {
    return fail(ErrorCode::kUsage, "options->size is {}; write sizeof of the structure, {}", size,
                known_size);
  }
  const auto* const bytes = static_cast<const unsigned char*>(structure);
  if (std::any_of(bytes + known_size, bytes + size, [](unsigned char byte) { return byte != 0; })) {
    return fail(ErrorCode::kUsage,
                "options has {} bytes and sets fields beyond the {} that this version knows; "
                "set them to zero, or use a newer libspillway.so",
                size, known_size);
  }
  return {};
}

Result<memory::Tier> tier_of(spillway_tier tier) {
  switch (tier) {
    case SPILLWAY_HBM:
      return memory::Tier::kHbm;
    case SPILLWAY_HOST:
      return memory::Tier::kHost;
    default:
      return fail(ErrorCode::kUsage, "{} is no tier; there are SPILLWAY_HBM and SPILLWAY_HOST",
                  tier);
  }
}

Result<memory::Tag> tag_of(spillway_tag tag) {
  switch (tag) {
    case SPILLWAY_OTHER:
      return memory::Tag::kOther;
    case SPILLWAY_WEIGHTS:
      return memory::Tag::kWeights;
    case SPILLWAY_KV:
      return memory::Tag::kKv;
    case SPILLWAY_ACTIVATIONS:
      return memory::Tag::kActivations;
    case SPILLWAY_STAGING:
      return memory::Tag::kStaging;
    default:
      return fail(ErrorCode::kUsage, "{} is no spillway_tag", tag);
  }
}

Result<DType> dtype_of(spillway_dtype dtype) {
  switch (dtype) {
    case SPILLWAY_F32:
      return DType::kF32;
    case SPILLWAY_F16:
      return DType::kF16;
    case SPILLWAY_BF16:
      return DType::kBF16;
    default:
      return fail(ErrorCode::kUsage, "{} is no spillway_dtype", dtype);
  }
}

Result<void> check_reserved(int32_t value) {
  if (value != 0) {
    return fail(ErrorCode::kUsage, "a reserved field is {}; set it to zero", value);
  }
  return {};
}

}  // namespace spillway::c_api

uint32_t spillway_abi_version(void) {
  return SPILLWAY_ABI_VERSION;
}

const char* spillway_last_error(void) {
  return spillway::c_api::last_error();
}
