// The pieces of JSON texts as grammar expressions. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/grammar_expression.h"

namespace spillway::formats {

// Rules "space", "value", "object", "array", "string", "number", "integer", "boolean", "null":
// JSON of any form, nested as deep as you like.
void add_json_rules(Rules& rules);

inline Expression json_text(std::string_view bytes) {
  return Expression::literal(bytes);
}
Expression json_space();
// A comma or a colon, and the blanks behind it.
Expression json_mark(std::string_view mark);

// One character of a string's contents, as JSON writes it: of `ranges`, those that JSON can write
// in one way at least. Controls other than \b \t \n \f \r are left out.
Expression json_character(std::vector<CodePointRange> ranges);
// Any of them, also as \uXXXX; that is one character always (no surrogates).
Expression json_any_character();
// Contents of a string that match a regular expression (ECMA 262's common part: classes, groups,
// alternatives, quantifiers; ^ and $ at the ends), without quotes. kUsage: what is not supported.
Result<Expression> json_pattern(std::string_view pattern);
// Contents of a string of a format; none where it is not known.
std::optional<Expression> json_format(std::string_view format);
// Contents of a string without escapes that is none of `names`.
Expression json_other_name(const std::vector<std::string>& names);

// Integers of up to 16 digits between the bounds, both included. kUsage: there are none.
Result<Expression> json_integer(std::optional<int64_t> least, std::optional<int64_t> most);

}  // namespace spillway::formats
