#include "platform/linux/text.h"

#include <charconv>
#include <fstream>
#include <iterator>

namespace spillway::platform {

std::string read_text(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return {};
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<std::string_view> value_after(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    const size_t first = line.find_first_not_of(" \t:");
    if (first == std::string_view::npos) return std::string_view();
    return line.substr(first, line.find_last_not_of(" \t") - first + 1);
  }
  return std::nullopt;
}

std::optional<uint64_t> number_after(std::string_view text, std::string_view key) {
  const auto value = value_after(text, key);
  uint64_t number = 0;
  if (!value) return std::nullopt;
  const auto parsed = std::from_chars(value->data(), value->data() + value->size(), number);
  if (parsed.ec != std::errc()) return std::nullopt;
  return number;
}

}  // namespace spillway::platform
