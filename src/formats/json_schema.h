// A JSON schema as a grammar of the JSON texts that are valid under it, laid out as people do:
// blanks and line ends where JSON has them, but few. Pure function; any thread.
//
// Supported: type (one or several), properties, required, additionalProperties, items, prefixItems,
// minItems, maxItems, enum, const, anyOf, oneOf, allOf of one, $ref within the document, minLength,
// maxLength, pattern, format (date, time, date-time, uuid), minimum, maximum, exclusiveMinimum and
// exclusiveMaximum of integers, true, {}. What only describes (title, description, default, …) is
// passed over; every other keyword is refused by name.
// As in llama.cpp, properties come in the order of the schema, an object with properties has no
// others unless additionalProperties says so, and oneOf is anyOf.
#pragma once

#include <string_view>

#include "base/result.h"
#include "formats/grammar.h"

namespace spillway::formats {

// kUsage: no JSON, no schema, a keyword that is not supported (with the place: "#/properties/a").
Result<Grammar> json_schema_grammar(std::string_view schema);

}  // namespace spillway::formats
