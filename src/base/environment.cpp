#include "base/environment.h"

#include <cstdlib>

namespace spillway {
namespace {

std::string text_of(const char* variable) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? text : "";
}

}  // namespace

std::string cache_directory() {
  if (const std::string cache = text_of("XDG_CACHE_HOME"); !cache.empty()) {
    return cache + "/spillway";
  }
  if (const std::string home = text_of("HOME"); !home.empty()) return home + "/.cache/spillway";
  return {};
}

std::string hbm_budget_text() {
  return text_of("SPILLWAY_HBM_BUDGET");
}

std::string host_budget_text() {
  return text_of("SPILLWAY_HOST_BUDGET");
}

std::string kernels_text() {
  return text_of("SPILLWAY_KERNELS");
}

bool managed_wanted() {
  return text_of("SPILLWAY_MANAGED") == "1";
}

}  // namespace spillway
