// Schemas of one type as grammar expressions: what json_schema.cpp is made of. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "formats/grammar_expression.h"

namespace spillway::formats {

using Json = nlohmann::ordered_json;

// `place` is where the schema stands in the document ("#/properties/a").
template <typename... Arguments>
tl::unexpected<Error> wrong(const std::string& place, fmt::format_string<Arguments...> format,
                            Arguments&&... arguments) {
  return fail(ErrorCode::kUsage, "{}: {}", place,
              fmt::format(format, std::forward<Arguments>(arguments)...));
}

// For a message: not too long, whatever it is.
std::string shown(const Json& json);

class SchemaVisitor {
 public:
  virtual ~SchemaVisitor() = default;
  // A text that is valid under any schema.
  virtual Result<Expression> visit(const Json& schema, const std::string& place, size_t depth) = 0;
  // Gives an expression that is used several times a name.
  virtual Expression add_rule(Expression expression) = 0;
};

Result<Expression> string_expression(const Json& schema, const std::string& place);
Result<Expression> integer_expression(const Json& schema, const std::string& place);
Result<Expression> array_expression(const Json& schema, const std::string& place, size_t depth,
                                    SchemaVisitor& visitor);
Result<Expression> object_expression(const Json& schema, const std::string& place, size_t depth,
                                     SchemaVisitor& visitor);

}  // namespace spillway::formats
