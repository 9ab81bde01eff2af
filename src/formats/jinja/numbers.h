// Numbers as Python writes and reads them. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::formats::jinja {

// repr(float): the fewest digits that read back as the same number.
std::string format_float(double value);
// int(text, base) and float(text); nothing where Python raises ValueError, or where the integer
// does not fit.
std::optional<int64_t> parse_integer(std::string_view text, int base);
std::optional<double> parse_float(std::string_view text);

}  // namespace spillway::formats::jinja
