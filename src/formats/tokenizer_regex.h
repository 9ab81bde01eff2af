// The regular expressions of tokenizer.json, which are Oniguruma's, in PCRE2's syntax. A function;
// any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::formats {

// To be compiled with PCRE2_UTF, PCRE2_UCP and PCRE2_MULTILINE. Supported is what means the same to
// both, or can be said: literals, classes without classes in them, \s \d \w \p{…} \n \r \t \v \f
// \x{…} \uNNNN, groups that capture nothing, look-around, (?i), quantifiers. kBadFile names what is
// not.
Result<std::string> to_pcre2(std::string_view pattern);

// A pattern that matches exactly `text`.
std::string quote_regex(std::string_view text);

}  // namespace spillway::formats
