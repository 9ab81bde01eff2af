// Strings as Python sees them: sequences of code points, here in UTF-8. A byte that is not part of
// valid UTF-8 counts as one code point and is passed on as it is. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::formats::jinja {

struct CodePoint {
  char32_t value = 0;  // for an invalid byte: 0xDC00 + the byte, as Python's surrogateescape
  size_t size = 1;     // in bytes
};

// `at` must be below text.size().
CodePoint code_point_at(std::string_view text, size_t at);
// Where the code point that ends at `end` begins; `end` must be above 0.
size_t code_point_before(std::string_view text, size_t end);
void append_code_point(std::string& out, char32_t value);

size_t count_code_points(std::string_view text);
// The byte where each code point begins, and text.size() at the end.
std::vector<size_t> code_point_starts(std::string_view text);

// What str.isspace and the regular expression \s call white space.
bool is_space(char32_t value);

enum class Side { kLeft, kRight, kBoth };
// Without `characters`, white space is stripped.
std::string_view strip(std::string_view text, Side side,
                       std::optional<std::string_view> characters = std::nullopt);

// Byte position of the first `needle` at or after `from`, else npos. Linear in the worst case,
// which std::string_view::find is not.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);        // str.title
std::string to_capitalized(std::string_view text);  // str.capitalize
bool is_cased(char32_t value);
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
// Whether repr shows the code point as it is.
bool is_printable(char32_t value);

}  // namespace spillway::formats::jinja
