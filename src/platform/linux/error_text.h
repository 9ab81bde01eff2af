// What an errno means, in words. Thread-safe, unlike strerror.
#pragma once

#include <array>
#include <cstring>
#include <string>

namespace spillway::platform {

inline std::string error_text(int error) {
  std::array<char, 128> buffer{};
  return strerror_r(error, buffer.data(), buffer.size());  // the GNU one, which returns the text
}

}  // namespace spillway::platform
