// Reading the small text files of /proc and /sys. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::platform {

// The whole file, or "" if it cannot be read.
std::string read_text(const std::string& path);

std::vector<std::string_view> split(std::string_view text, char separator);

// What follows `key` in the first line that begins with it, without the space around it.
std::optional<std::string_view> value_after(std::string_view text, std::string_view key);
// The number that it begins with.
std::optional<uint64_t> number_after(std::string_view text, std::string_view key);

}  // namespace spillway::platform
