#include "formats/json_schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "formats/json_expressions.h"
#include "formats/json_schema_object.h"

namespace spillway::formats {
namespace {

using Names = std::set<std::string_view>;

constexpr int kMostJsonDepth = 256;
constexpr size_t kMostSchemas = 64;  // of schemas within schemas

const Names kDescriptions = {"$schema",     "$id",      "$anchor",     "$comment",  "$defs",
                             "definitions", "title",    "description", "default",   "examples",
                             "example",     "readOnly", "writeOnly",   "deprecated"};
const Names kObject = {"properties", "required", "additionalProperties"};
const Names kArray = {"items", "prefixItems", "minItems", "maxItems"};
const Names kString = {"minLength", "maxLength", "pattern", "format"};
const Names kInteger = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
const Names kTypes = {"object", "array", "string", "number", "integer", "boolean", "null"};

const Names kNoKeywords;

const Names& keywords_of(std::string_view type) {
  if (type == "object") return kObject;
  if (type == "array") return kArray;
  if (type == "string") return kString;
  return type == "integer" ? kInteger : kNoKeywords;
}

bool is_of_type(const Json& value, std::string_view type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  return type == "object" ? value.is_object() : value.is_array();
}

bool has_any(const Json& schema, const Names& names) {
  return std::any_of(schema.items().begin(), schema.items().end(),
                     [&](const auto& item) { return names.contains(item.key()); });
}

class SchemaConverter final : public SchemaVisitor {
 public:
  explicit SchemaConverter(const Json& document) : document_(document) { add_json_rules(rules_); }

  Result<Grammar> convert() {
    SPILLWAY_ASSIGN(Expression root, visit(document_, "#", 0));
    rules_["root"] = Expression::sequence({std::move(root)});
    return Grammar::compile(rules_, "root");
  }

  Result<Expression> visit(const Json& schema, const std::string& place, size_t depth) override {
    if (depth > kMostSchemas)
      return wrong(place, "more than {} schemas within schemas", kMostSchemas);
    if (schema.is_boolean() && schema.get<bool>()) return Expression::rule("value");
    if (!schema.is_object())
      return wrong(place, "{} is no schema that allows anything", shown(schema));
    if (schema.contains("$ref")) return visit_reference(schema, place);
    for (const char* keyword : {"const", "enum"}) {
      if (schema.contains(keyword)) return visit_values(schema, keyword, place);
    }
    for (const char* keyword : {"anyOf", "oneOf", "allOf"}) {
      if (schema.contains(keyword)) return visit_several(schema, keyword, place, depth);
    }
    SPILLWAY_ASSIGN(const auto types, types_of(schema, place));
    Names known = {"type"};
    for (const std::string& type : types)
      known.insert(keywords_of(type).begin(), keywords_of(type).end());
    SPILLWAY_TRY(check_keywords(schema, known, place));
    if (types.empty()) return Expression::rule("value");
    std::vector<Expression> ways;
    for (const std::string& type : types) {
      SPILLWAY_ASSIGN(Expression way, visit_type(schema, type, place, depth));
      ways.push_back(std::move(way));
    }
    return ways.size() == 1 ? std::move(ways[0]) : Expression::choice(std::move(ways));
  }

  Expression add_rule(Expression expression) override {
    const std::string name = fmt::format("rule {}", rules_.size());
    rules_[name] = std::move(expression);
    return Expression::rule(name);
  }

 private:
  Result<void> check_keywords(const Json& schema, const Names& known, const std::string& place) {
    for (const auto& [key, value] : schema.items()) {
      if (kDescriptions.contains(key) || known.contains(key)) continue;
      return wrong(place, "the keyword \"{}\" is not supported{}", key,
                   kInteger.contains(key) ? " but for \"type\": \"integer\"" : " here");
    }
    return {};
  }

  // Those that are named, or that the other keywords imply; none: any.
  Result<std::vector<std::string>> types_of(const Json& schema, const std::string& place) {
    std::vector<std::string> types;
    const auto named = schema.find("type");
    if (named == schema.end()) {
      for (const char* type : {"object", "array", "string"}) {
        if (has_any(schema, keywords_of(type))) types.emplace_back(type);
      }
      return types;
    }
    const Json list = named->is_array() ? *named : Json::array({*named});
    for (const Json& type : list) {
      if (!type.is_string() || !kTypes.contains(type.get<std::string>()))
        return wrong(place, "{} is no type", shown(type));
      types.push_back(type.get<std::string>());
    }
    if (types.empty()) return wrong(place, "\"type\" names none");
    return types;
  }

  Result<Expression> visit_type(const Json& schema, const std::string& type,
                                const std::string& place, size_t depth) {
    if (type == "string") return string_expression(schema, place);
    if (type == "integer") return integer_expression(schema, place);
    if (type == "object" && has_any(schema, kObject))
      return object_expression(schema, place, depth, *this);
    if (type == "array" && has_any(schema, kArray))
      return array_expression(schema, place, depth, *this);
    return Expression::rule(type);
  }

  Result<Expression> visit_values(const Json& schema, const std::string& keyword,
                                  const std::string& place) {
    SPILLWAY_TRY(check_keywords(schema, {"const", "enum", "type"}, place));
    SPILLWAY_ASSIGN(const auto types, types_of(schema, place));
    const Json& given = schema[keyword];
    if (keyword == "enum" && !given.is_array()) return wrong(place, "\"enum\" is no list");
    std::vector<Expression> ways;
    for (const Json& value : keyword == "enum" ? given : Json::array({given})) {
      const auto fits = [&](const std::string& type) { return is_of_type(value, type); };
      if (types.empty() || std::any_of(types.begin(), types.end(), fits))
        ways.push_back(Expression::literal(value.dump()));
    }
    if (ways.empty()) return wrong(place, "\"{}\" allows no value", keyword);
    return Expression::choice(std::move(ways));
  }

  Result<Expression> visit_several(const Json& schema, const std::string& keyword,
                                   const std::string& place, size_t depth) {
    SPILLWAY_TRY(check_keywords(schema, {keyword}, place));
    const Json& list = schema[keyword];
    if (!list.is_array() || list.empty()) return wrong(place, "\"{}\" is no list", keyword);
    if (keyword == "allOf" && list.size() > 1)
      return wrong(place, "\"allOf\" of more than one schema is not supported");
    std::vector<Expression> ways;
    for (size_t i = 0; i < list.size(); ++i) {
      SPILLWAY_ASSIGN(Expression way,
                      visit(list[i], fmt::format("{}/{}/{}", place, keyword, i), depth + 1));
      ways.push_back(std::move(way));
    }
    return Expression::choice(std::move(ways));
  }

  // Each place that is referred to becomes a rule: schemas may refer to themselves.
  Result<Expression> visit_reference(const Json& schema, const std::string& place) {
    SPILLWAY_TRY(check_keywords(schema, {"$ref"}, place));
    if (!schema["$ref"].is_string()) return wrong(place, "\"$ref\" is no string");
    const auto reference = schema["$ref"].get<std::string>();
    const Json* target = find(reference);
    if (target == nullptr)
      return wrong(place, "\"$ref\": \"{}\" is no place in this document", reference);
    const auto [entry, added] = rules_.try_emplace(reference);
    if (added) {
      if (++references_ > kMostSchemas * kMostSchemas) return wrong(place, "too many references");
      if (nested_ > kMostSchemas) return wrong(place, "references within references, too deep");
      ++nested_;
      auto expression = visit(*target, reference, 0);
      --nested_;
      if (!expression) return expression;
      rules_[reference] = *std::move(expression);
    }
    return Expression::rule(reference);
  }

  // "#/$defs/a~1b": null where there is nothing.
  const Json* find(std::string_view reference) const {
    if (!reference.starts_with('#')) return nullptr;
    const Json* at = &document_;
    for (reference.remove_prefix(1); !reference.empty();) {
      if (!reference.starts_with('/')) return nullptr;
      reference.remove_prefix(1);
      const size_t end = std::min(reference.find('/'), reference.size());
      std::string step(reference.substr(0, end));
      reference.remove_prefix(end);
      for (const auto& [escape, c] : {std::pair("~1", '/'), std::pair("~0", '~')}) {
        for (size_t i = step.find(escape); i != std::string::npos; i = step.find(escape, i + 1))
          step.replace(i, 2, 1, c);
      }
      if (at->is_object() && at->contains(step)) {
        at = &(*at)[step];
      } else if (at->is_array() && step.size() < 6 && !step.empty() &&
                 step.find_first_not_of("0123456789") == std::string::npos &&
                 std::stoul(step) < at->size()) {
        at = &(*at)[std::stoul(step)];
      } else {
        return nullptr;
      }
    }
    return at;
  }

  const Json& document_;
  Rules rules_;
  size_t references_ = 0;
  size_t nested_ = 0;
};

}  // namespace

Result<Grammar> json_schema_grammar(std::string_view schema) {
  if (schema.size() > Grammar::kMostTextBytes) {
    return fail(ErrorCode::kUsage, "the JSON schema has {} bytes; {} at most", schema.size(),
                Grammar::kMostTextBytes);
  }
  bool too_deep = false;
  const auto within_depth = [&](int depth, Json::parse_event_t, const Json&) {
    too_deep = too_deep || depth > kMostJsonDepth;
    return !too_deep;
  };
  const Json document = Json::parse(schema, within_depth, false);
  if (too_deep)
    return fail(ErrorCode::kUsage, "the JSON schema nests deeper than {} levels", kMostJsonDepth);
  if (document.is_discarded()) return fail(ErrorCode::kUsage, "the JSON schema is no JSON");
  return SchemaConverter(document).convert();
}

}  // namespace spillway::formats
