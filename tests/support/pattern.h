// Bytes for test files: each depends on its offset and a seed, so that bytes from a wrong place or
// an earlier content are seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace spillway::test {

inline std::vector<std::byte> patterned_bytes(size_t size, uint64_t seed = 1) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) {
    const uint64_t mixed = (i + 1) * 0x9E3779B97F4A7C15ULL * (2 * seed + 1);
    bytes[i] = static_cast<std::byte>(mixed >> 56);
  }
  return bytes;
}

}  // namespace spillway::test
