#include "formats/json_schema_object.h"

#include <algorithm>
#include <optional>

#include "formats/json_expressions.h"

namespace spillway::formats {
namespace {

// A keyword that counts something; `otherwise` where it is not given.
Result<size_t> count_of(const Json& schema, const char* keyword, size_t otherwise,
                        const std::string& place) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return otherwise;
  if (!found->is_number_unsigned()) return wrong(place, "\"{}\" is no count", keyword);
  return found->get<size_t>();
}

struct Counts {
  size_t least = 0;
  size_t most = Expression::kUnbounded;
};

Result<Counts> counts_of(const Json& schema, const char* least, const char* most,
                         const std::string& place) {
  Counts counts;
  SPILLWAY_ASSIGN(counts.least, count_of(schema, least, 0, place));
  SPILLWAY_ASSIGN(counts.most, count_of(schema, most, Expression::kUnbounded, place));
  if (counts.most < counts.least) return wrong(place, "\"{}\" is more than \"{}\"", least, most);
  return counts;
}

Result<std::optional<int64_t>> bound_of(const Json& schema, const char* keyword,
                                        const std::string& place) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return std::optional<int64_t>();
  if (!found->is_number_integer() ||
      (found->is_number_unsigned() && found->get<uint64_t>() > uint64_t{INT64_MAX} - 1))
    return wrong(place, "\"{}\" is no whole number of 64 bits", keyword);
  return std::optional<int64_t>(found->get<int64_t>());
}

}  // namespace

std::string shown(const Json& json) {
  constexpr size_t kMost = 40;
  std::string all = json.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (all.size() > kMost) all = all.substr(0, kMost) + "...";
  return all;
}

Result<Expression> string_expression(const Json& schema, const std::string& place) {
  SPILLWAY_ASSIGN(const Counts counts, counts_of(schema, "minLength", "maxLength", place));
  const bool counted = schema.contains("minLength") || schema.contains("maxLength");
  const int forms = static_cast<int>(schema.contains("pattern")) +
                    static_cast<int>(schema.contains("format")) + static_cast<int>(counted);
  if (forms > 1)
    return wrong(place, "\"pattern\", \"format\" and a length together are not supported");
  Expression contents = Expression::repeat(json_any_character(), counts.least, counts.most);
  if (schema.contains("pattern")) {
    if (!schema["pattern"].is_string()) return wrong(place, "\"pattern\" is no string");
    auto pattern = json_pattern(schema["pattern"].get<std::string>());
    if (!pattern) return wrong(place, "{}", pattern.error().message);
    contents = *std::move(pattern);
  } else if (schema.contains("format")) {
    if (!schema["format"].is_string()) return wrong(place, "\"format\" is no string");
    auto format = json_format(schema["format"].get<std::string>());
    if (!format) {
      return wrong(place, "\"format\": {} is not supported; there are date, time, date-time, uuid",
                   shown(schema["format"]));
    }
    contents = *std::move(format);
  } else if (!counted) {
    return Expression::rule("string");
  }
  return Expression::sequence({json_text("\""), std::move(contents), json_text("\"")});
}

Result<Expression> integer_expression(const Json& schema, const std::string& place) {
  SPILLWAY_ASSIGN(auto least, bound_of(schema, "minimum", place));
  SPILLWAY_ASSIGN(auto most, bound_of(schema, "maximum", place));
  SPILLWAY_ASSIGN(const auto above, bound_of(schema, "exclusiveMinimum", place));
  SPILLWAY_ASSIGN(const auto below, bound_of(schema, "exclusiveMaximum", place));
  if (above) least = std::max(least.value_or(*above + 1), *above + 1);
  if (below && *below == INT64_MIN) return wrong(place, "no integer is below the least");
  if (below) most = std::min(most.value_or(*below - 1), *below - 1);
  if (!least && !most) return Expression::rule("integer");
  auto integer = json_integer(least, most);
  if (!integer) return wrong(place, "{}", integer.error().message);
  return integer;
}

Result<Expression> array_expression(const Json& schema, const std::string& place, size_t depth,
                                    SchemaVisitor& visitor) {
  SPILLWAY_ASSIGN(Counts counts, counts_of(schema, "minItems", "maxItems", place));
  const Json items = schema.value("items", Json(true));
  const Json first = items.is_array() ? items : schema.value("prefixItems", Json::array());
  if (!first.is_array()) return wrong(place, "\"prefixItems\" is no list");
  std::vector<Expression> parts = {json_text("["), json_space()};
  for (size_t i = 0; i < first.size() && i < counts.most; ++i) {
    if (i > 0) parts.push_back(json_mark(","));
    SPILLWAY_ASSIGN(Expression item,
                    visitor.visit(first[i], fmt::format("{}/prefixItems/{}", place, i), depth + 1));
    parts.push_back(std::move(item));
  }
  // Those that are described one by one are all there, and no others beside them.
  const bool no_more = !first.empty() || counts.most == 0 || items == Json(false);
  if (no_more && counts.least > first.size())
    return wrong(place, "\"minItems\" is more than the items that are described");
  if (!no_more) {
    SPILLWAY_ASSIGN(Expression described, visitor.visit(items, place + "/items", depth + 1));
    const Expression item = visitor.add_rule(std::move(described));
    const size_t more = counts.most == Expression::kUnbounded ? counts.most : counts.most - 1;
    Expression list = Expression::sequence(
        {item, Expression::repeat(Expression::sequence({json_mark(","), item}),
                                  std::max<size_t>(counts.least, 1) - 1, more)});
    parts.push_back(counts.least > 0 ? std::move(list) : Expression::optional(std::move(list)));
  }
  parts.push_back(json_space());
  parts.push_back(json_text("]"));
  return Expression::sequence(std::move(parts));
}

namespace {

// What may come behind all the named properties: `begun` where a comma is needed.
struct Tails {
  Expression first = json_text("");
  Expression begun = json_text("");
};

Expression pair_of(Expression name, Expression value) {
  return Expression::sequence({std::move(name), json_mark(":"), std::move(value)});
}

struct Properties {
  std::vector<std::string> names;  // in the order of the schema, then what only is required
  Json schemas = Json::object();
  std::vector<std::string> required;
};

Result<Properties> properties_of(const Json& schema, const std::string& place) {
  Properties properties;
  properties.schemas = schema.value("properties", Json::object());
  if (!properties.schemas.is_object()) return wrong(place, "\"properties\" is no object");
  for (const auto& [name, value] : properties.schemas.items()) properties.names.push_back(name);
  const Json required = schema.value("required", Json::array());
  if (!required.is_array()) return wrong(place, "\"required\" is no list");
  for (const Json& name : required) {
    if (!name.is_string()) return wrong(place, "\"required\" names {}", shown(name));
    properties.required.push_back(name.get<std::string>());
    if (!properties.schemas.contains(properties.required.back()))
      properties.names.push_back(properties.required.back());
  }
  return properties;
}

Result<Tails> other_properties(const Json& schema, const Properties& properties,
                               const std::string& place, size_t depth, SchemaVisitor& visitor) {
  // An object that nothing is said about may have any.
  const bool anything = properties.names.empty() && !schema.contains("additionalProperties");
  const Json others = schema.value("additionalProperties", Json(anything));
  if (others == Json(false)) return Tails{};
  SPILLWAY_ASSIGN(Expression value,
                  visitor.visit(others, place + "/additionalProperties", depth + 1));
  Expression name =
      Expression::sequence({json_text("\""), json_other_name(properties.names), json_text("\"")});
  const Expression pair = visitor.add_rule(pair_of(std::move(name), std::move(value)));
  const Expression more = visitor.add_rule(
      Expression::repeat(Expression::sequence({json_mark(","), pair}), 0, Expression::kUnbounded));
  return Tails{Expression::optional(Expression::sequence({pair, more})), more};
}

}  // namespace

Result<Expression> object_expression(const Json& schema, const std::string& place, size_t depth,
                                     SchemaVisitor& visitor) {
  SPILLWAY_ASSIGN(const Properties properties, properties_of(schema, place));
  SPILLWAY_ASSIGN(Tails tails, other_properties(schema, properties, place, depth, visitor));
  // From the last one: what may come from each property on.
  for (auto name = properties.names.rbegin(); name != properties.names.rend(); ++name) {
    const bool described = properties.schemas.contains(*name);
    SPILLWAY_ASSIGN(Expression value,
                    visitor.visit(described ? properties.schemas[*name]
                                            : schema.value("additionalProperties", Json(true)),
                                  fmt::format("{}/properties/{}", place, *name), depth + 1));
    const Expression pair =
        visitor.add_rule(pair_of(json_text(Json(*name).dump()), std::move(value)));
    Expression first = Expression::sequence({pair, tails.begun});
    Expression begun = Expression::sequence({json_mark(","), pair, tails.begun});
    const auto& required = properties.required;
    if (std::find(required.begin(), required.end(), *name) == required.end()) {
      first = Expression::choice({std::move(first), tails.first});
      begun = Expression::choice({std::move(begun), tails.begun});
    }
    tails = {visitor.add_rule(std::move(first)), visitor.add_rule(std::move(begun))};
  }
  return Expression::sequence(
      {json_text("{"), json_space(), std::move(tails.first), json_space(), json_text("}")});
}

}  // namespace spillway::formats
