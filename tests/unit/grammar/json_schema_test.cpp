// JSON schemas: which texts they allow, that what they make is JSON, and what is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/json_schema.h"
#include "texts.h"

namespace spillway::formats {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

Grammar of_schema(const std::string& schema) {
  auto grammar = json_schema_grammar(schema);
  EXPECT_TRUE(grammar.has_value()) << schema << ": " << grammar.error().message;
  return grammar ? *std::move(grammar) : Grammar();
}

void expect_json(const std::string& schema, const Texts& good, const Texts& bad) {
  expect_texts(of_schema(schema), schema, good, bad);
}

TEST(JsonSchema, AnyJson) {
  for (const char* schema : {"{}", "true", R"({"title": "x", "description": "y"})"}) {
    expect_json(
        schema,
        {"null", "true", "-1.5e3", R"("a\n\u00e9é")", "[]", "[1, [2], {}]", R"({"a": {"b": 1}})"},
        {"", "nul", "01", "1.", "\"a", "\"\n\"", "[1,]", "{a: 1}", "{\"a\" 1}", R"("\ud800")"});
  }
}

TEST(JsonSchema, Types) {
  expect_json(R"({"type": "integer"})", {"0", "-12"}, {"1.0", "01", "\"1\""});
  expect_json(R"({"type": "number"})", {"0.5", "-1e10", "3"}, {".5", "1e", "NaN"});
  expect_json(R"({"type": ["boolean", "null"]})", {"true", "null"}, {"0"});
  expect_json(R"({"type": "object"})", {"{}", R"({"a": [1]})"}, {"[]"});
  expect_json(R"({"type": "array"})", {"[]", "[{}]"}, {"{}"});
}

TEST(JsonSchema, Objects) {
  const std::string schema = R"({"type": "object", "properties": {
      "a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "null"}},
      "required": ["b"]})";
  expect_json(schema,
              {R"({"b":"x"})", R"({"a": 1, "b": "x", "c": null})", R"({ "b": "","c":null })"},
              {"{}", R"({"a":1})", R"({"b":"x","a":1})", R"({"b":"x",})", R"({"b":"x","d":1})",
               R"({"a":1.5,"b":""})", R"({,"b":"x"})"});
}

TEST(JsonSchema, OtherPropertiesAreNotTheNamedOnes) {
  const std::string schema =
      R"({"properties": {"ab": {"type": "null"}}, "additionalProperties": {"type": "integer"}})";
  expect_json(
      schema,
      {"{}", R"({"ab": null})", R"({"ab": null, "abc": 1, "a": 2, "": 3, "é": 4})", R"({"x": 1})"},
      {R"({"ab": 1})", R"({"ab": null, "ab": 1})", R"({"x": null})", R"({"\u0061b": 1})"});
  expect_json(R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a": 1})"});
  expect_json(R"({"required": ["q\"q"]})", {R"({"q\"q": [1]})"}, {"{}", R"({"q": 1})"});
}

TEST(JsonSchema, Arrays) {
  expect_json(R"({"items": {"type": "integer"}, "minItems": 1, "maxItems": 3})",
              {"[1]", "[1, 2,3]"}, {"[]", "[1,2,3,4]", "[\"a\"]"});
  expect_json(R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"});
  expect_json(R"({"prefixItems": [{"type": "integer"}, {"type": "null"}]})", {"[1, null]"},
              {"[1]", "[1, null, 2]"});
  expect_json(R"({"items": false, "type": "array"})", {"[]"}, {"[1]"});
}

TEST(JsonSchema, ValuesAndChoices) {
  expect_json(R"({"enum": ["a", 1, null, {"b": [1]}]})", {"\"a\"", "1", "null", R"({"b":[1]})"},
              {"\"b\"", "2"});
  expect_json(R"({"type": "string", "enum": ["é\n", 1]})", {"\"é\\n\""}, {"1"});
  expect_json(R"({"const": "x"})", {"\"x\""}, {"\"y\""});
  expect_json(R"({"anyOf": [{"type": "null"}, {"const": 5}]})", {"null", "5"}, {"6"});
  expect_json(R"({"oneOf": [{"type": "null"}, {"const": 5}], "title": "t"})", {"null", "5"}, {"6"});
  expect_json(R"({"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"const": 1}}})", {"1"}, {"2"});
}

TEST(JsonSchema, ReferencesEvenToThemselves) {
  expect_json(
      R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["kids"],
      "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}})",
      {R"({"kids": []})", R"({"kids": [{"kids": []}, {"kids": [{"kids": []}]}]})"},
      {"{}", R"({"kids": [1]})"});
  expect_json(R"({"properties": {"a/b": {"const": 1}, "c": {"$ref": "#/properties/a~1b"}}})",
              {R"({"c": 1})"}, {R"({"c": 2})"});
  EXPECT_FALSE(json_schema_grammar(R"({"$ref": "#"})").has_value());
}

TEST(JsonSchema, Strings) {
  expect_json(R"({"minLength": 2, "maxLength": 3})", {"\"ab\"", "\"😀é\"", R"("\"\n\u0041")"},
              {"\"a\"", "\"abcd\"", "2"});
  expect_json(R"({"type": "string", "format": "date"})", {"\"2024-02-28\""},
              {"\"2024-13-01\"", "\"24-01-01\"", "\"x\""});
  expect_json(R"({"format": "date-time"})",
              {"\"2024-02-28T23:59:59.5Z\"", "\"2024-02-28T00:00:00+01:30\""},
              {"\"2024-02-28T24:00:00Z\""});
  expect_json(R"({"format": "uuid"})", {"\"123e4567-e89b-12d3-a456-426614174000\""},
              {"\"123e4567\""});
}

TEST(JsonSchema, Patterns) {
  expect_json(R"({"pattern": "^[A-Z]{2}-\\d+(?:\\.\\d{1,2})?$"})", {"\"AB-1\"", "\"AB-12.34\""},
              {"\"A-1\"", "\"AB-1.\"", "\"xAB-1\"", "\"AB-1x\""});
  expect_json(R"({"pattern": "a|b"})", {"\"a\"", "\"xxbyy\""}, {"\"c\""});
  expect_json(R"({"pattern": "^(a|\"|\\\\|\\n|[^x-z]*?)$"})",
              {"\"a\"", R"("\"")", R"("\\")", R"("\n")", "\"bcd\"", "\"é\""}, {"\"x\"", "\"\"\""});
  expect_json(R"({"pattern": "^.\\.\\w\\s\\S$"})", {"\"é._ x\"", R"("\"._\tx")"},
              {"\"ab_ x\"", R"("\n._ x")"});
  for (const char* pattern :
       {"^a|b$", "(?=a)", "a^", "*a", "[z-a]", "a{2,1}", "(a", "a)", "\\\\b", "\\\\1", "["}) {
    const auto refused = json_schema_grammar(fmt::format(R"({{"pattern": "{}"}})", pattern));
    ASSERT_FALSE(refused.has_value()) << pattern;
    EXPECT_THAT(refused.error().message, HasSubstr("pattern"));
  }
}

TEST(JsonSchema, EveryIntegerBetweenTheBoundsAndNoOther) {
  std::mt19937 random(7);
  const auto bound = [&] {
    const int64_t scales[] = {3, 30, 300, 3000};
    const int64_t scale = scales[random() % 4];
    return static_cast<int64_t>(random() % static_cast<uint64_t>(2 * scale)) - scale;
  };
  for (int round = 0; round < 20; ++round) {
    const int64_t a = bound(), b = bound(), low = std::min(a, b), high = std::max(a, b);
    const Grammar both_grammar =
        of_schema(fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high));
    const Grammar above_grammar =
        of_schema(fmt::format(R"({{"type":"integer","exclusiveMinimum":{}}})", low));
    const Grammar below_grammar =
        of_schema(fmt::format(R"({{"type":"integer","exclusiveMaximum":{}}})", high));
    GrammarMatcher both(both_grammar), above(above_grammar), below(below_grammar);
    for (int64_t i = -3100; i <= 3100;
         i += (std::abs(i - low) < 15 || std::abs(i - high) < 15) ? 1 : 7) {
      ASSERT_EQ(accepts(both, std::to_string(i)), low <= i && i <= high)
          << i << " in " << low << " to " << high;
      ASSERT_EQ(accepts(above, std::to_string(i)), i > low) << i << " above " << low;
      ASSERT_EQ(accepts(below, std::to_string(i)), i < high) << i << " below " << high;
    }
  }
  EXPECT_FALSE(json_schema_grammar(R"({"type":"integer","minimum":2,"maximum":1})").has_value());
}

TEST(JsonSchema, WhatIsNotSupportedIsRefusedByNameAndPlace) {
  const std::pair<const char*, const char*> wrong[] = {
      {"{", "no JSON"},
      {"[]", "#: [] is no schema"},
      {"false", "#: false is no schema"},
      {R"({"not": {}})", "#: the keyword \"not\""},
      {R"({"properties": {"a": {"multipleOf": 2}}})", "#/properties/a: the keyword \"multipleOf\""},
      {R"({"type": "number", "minimum": 1})", "\"minimum\" is not supported but for"},
      {R"({"items": {"uniqueItems": true}})", "#/items: the keyword \"uniqueItems\""},
      {R"({"anyOf": [{}], "properties": {}})", "the keyword \"properties\" is not supported here"},
      {R"({"allOf": [{}, {}]})", "allOf"},
      {R"({"type": "float"})", "\"float\" is no type"},
      {R"({"format": "email"})", "\"email\" is not supported"},
      {R"({"$ref": "other.json"})", "other.json"},
      {R"({"$ref": "#/$defs/x"})", "no place"},
      {R"({"minLength": 3, "maxLength": 2})", "minLength"},
      {R"({"minLength": 1, "pattern": "a"})", "together"},
      {R"({"maxLength": 100000})", "more than"},
      {R"({"enum": []})", "allows no value"},
      {R"({"required": [1]})", "\"required\" names 1"},
  };
  for (const auto& [schema, message] : wrong) {
    const auto refused = json_schema_grammar(schema);
    ASSERT_FALSE(refused.has_value()) << schema;
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, HasSubstr(message)) << schema;
  }
  std::string deep = "{}";
  for (int i = 0; i < 1000; ++i) deep = R"({"items": )" + deep + "}";
  EXPECT_FALSE(json_schema_grammar(deep).has_value());
  EXPECT_FALSE(json_schema_grammar(std::string(100000, '[')).has_value());
}

TEST(JsonSchema, WhatItMakesIsValid) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const Grammar grammar =
      of_schema(R"({"type": "object", "required": ["name", "tags", "size"], "properties": {
      "name": {"type": "string", "minLength": 1, "maxLength": 4},
      "size": {"type": "integer", "minimum": 5, "maximum": 120},
      "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 1},
      "note": {"type": ["string", "null"]}}})");
  int made = 0;
  for (int round = 0; round < 40; ++round) {
    const std::string text = random_text(grammar, random, 60);
    if (text.empty()) continue;
    ++made;
    const Json json = Json::parse(text, nullptr, false);
    ASSERT_TRUE(json.is_object()) << text;
    const auto name = json.at("name").get<std::string>();
    const auto characters =
        std::count_if(name.begin(), name.end(), [](char c) { return (c & 0xC0) != 0x80; });
    EXPECT_TRUE(1 <= characters && characters <= 4) << text;
    EXPECT_TRUE(5 <= json.at("size") && json.at("size") <= 120) << text;
    EXPECT_GE(json.at("tags").size(), 1u);
    for (const Json& tag : json.at("tags")) EXPECT_TRUE(tag == "x" || tag == "y");
    EXPECT_LE(json.size(), 4u);
  }
  EXPECT_GT(made, 20);
}

}  // namespace
}  // namespace spillway::formats
