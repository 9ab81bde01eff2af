// Finds named things by a sorted list of their positions. Not a hash table: a file could choose
// names that collide there, and time would grow with their square; and names are held once.
// Functions; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/gguf.h"

namespace spillway::formats {

inline std::string_view name_of(const GgufTensor& tensor) {
  return tensor.name;
}
inline std::string_view name_of(const std::pair<std::string, GgufValue>& pair) {
  return pair.first;
}

template <typename Item>
std::vector<size_t> positions_by_name(const std::vector<Item>& items) {
  std::vector<size_t> positions(items.size());
  std::iota(positions.begin(), positions.end(), size_t{0});
  std::ranges::sort(positions, {}, [&](size_t i) { return name_of(items[i]); });
  return positions;
}

template <typename Item>
std::optional<std::string_view> name_used_twice(const std::vector<Item>& items,
                                                const std::vector<size_t>& positions) {
  const auto twice =
      std::ranges::adjacent_find(positions, {}, [&](size_t i) { return name_of(items[i]); });
  if (twice == positions.end()) return std::nullopt;
  return name_of(items[*twice]);
}

template <typename Item>
std::optional<size_t> find_position(const std::vector<Item>& items,
                                    const std::vector<size_t>& positions, std::string_view name) {
  const auto found =
      std::ranges::lower_bound(positions, name, {}, [&](size_t i) { return name_of(items[i]); });
  if (found == positions.end() || name_of(items[*found]) != name) return std::nullopt;
  return *found;
}

}  // namespace spillway::formats
