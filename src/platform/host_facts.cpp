#include "platform/host_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace spillway::platform {

std::string format_ranges(const std::vector<unsigned>& numbers) {
  std::string text;
  for (size_t first = 0; first < numbers.size();) {
    size_t last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(numbers[first]);
    if (last > first) text += fmt::format("-{}", numbers[last]);
    first = last + 1;
  }
  return text;
}

std::vector<unsigned> parse_ranges(std::string_view text) {
  constexpr unsigned kMostNumbers = 1 << 16;
  std::vector<unsigned> numbers;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    const char* end = part.data() + part.size();
    unsigned first = 0;
    const auto [after, error] = std::from_chars(part.data(), end, first);
    if (error != std::errc()) continue;
    unsigned last = first;
    if (after != end && *after == '-') std::from_chars(after + 1, end, last);
    if (last < first || last - first >= kMostNumbers) continue;
    for (unsigned number = first; number <= last; ++number) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace spillway::platform
