#include "base/environment.h"

#include <cstdlib>

namespace spillway {

std::string cache_directory() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return std::string(cache) + "/spillway";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return std::string(home) + "/.cache/spillway";
  }
  return {};
}

}  // namespace spillway
