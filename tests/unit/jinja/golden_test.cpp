// Compares with what Python's jinja2 rendered: tests/golden/jinja/, made by
// tools/make_jinja_golden.py.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>

#include "formats/jinja.h"

namespace spillway::formats {
namespace {

using Json = nlohmann::ordered_json;

std::tm saturday() {
  std::tm now{};
  now.tm_year = 124;
  now.tm_mon = 6;
  now.tm_mday = 6;
  now.tm_hour = 9;
  now.tm_min = 5;
  now.tm_sec = 3;
  now.tm_wday = 6;
  now.tm_yday = 187;
  return now;
}

Json read_golden(const std::string& name) {
  std::ifstream file(SPILLWAY_SOURCE_DIR "/tests/golden/jinja/" + name + ".json");
  return Json::parse(file);
}

void expect_same(const std::string& source, const Json& variables, const Json& expected) {
  auto parsed = JinjaTemplate::parse(source);
  Result<std::string> rendered = parsed ? parsed->render(variables, saturday())
                                        : Result<std::string>(tl::make_unexpected(parsed.error()));
  if (expected.contains("output")) {
    ASSERT_TRUE(rendered.has_value()) << rendered.error().message;
    EXPECT_EQ(*rendered, expected["output"].get<std::string>());
  } else {
    ASSERT_FALSE(rendered.has_value()) << *rendered << "\nexpected: " << expected;
    const bool raised = expected.contains("raised");
    EXPECT_EQ(rendered.error().code, raised ? ErrorCode::kUsage : ErrorCode::kBadFile);
    if (raised) {
      EXPECT_EQ(rendered.error().message, expected["raised"].get<std::string>());
    }
  }
}

TEST(JinjaGolden, SnippetsRenderAsInPython) {
  const Json golden = read_golden("snippets");
  ASSERT_GT(golden["snippets"].size(), 200u);
  for (const Json& snippet : golden["snippets"]) {
    SCOPED_TRACE(snippet["source"].get<std::string>());
    expect_same(snippet["source"], golden["variables"], snippet);
  }
}

class JinjaTemplates : public testing::TestWithParam<const char*> {};

std::string shared_template(const std::string& name) {
  std::ifstream file(SPILLWAY_SHARED_DATA "/templates/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_P(JinjaTemplates, RenderConversationsAsInPython) {
  const Json golden = read_golden(GetParam());
  const std::string source = golden.contains("source")
                                 ? golden["source"].get<std::string>()
                                 : shared_template(golden["file"].get<std::string>());
  if (source.empty()) GTEST_SKIP() << "needs ../shared/data/templates";
  const Json cases = read_golden("conversations");
  ASSERT_EQ(cases.size(), golden["results"].size());
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i]["name"].get<std::string>());
    ASSERT_EQ(cases[i]["name"], golden["results"][i]["case"]);
    expect_same(source, cases[i]["variables"], golden["results"][i]);
  }
}

std::string fnv1a(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char byte : text) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001B3;
  return fmt::format("{:016x}", hash);
}

// `expected` is [bytes, hash], the text that the template raised, or null for another failure.
void expect_same_hash(const JinjaTemplate& chat_template, const Json& variables,
                      const Json& expected) {
  const auto rendered = chat_template.render(variables, saturday());
  if (expected.is_array()) {
    ASSERT_TRUE(rendered.has_value()) << rendered.error().message;
    EXPECT_EQ((Json{rendered->size(), fnv1a(*rendered)}), expected) << *rendered;
    return;
  }
  ASSERT_FALSE(rendered.has_value()) << *rendered << "\nexpected: " << expected;
  EXPECT_EQ(rendered.error().code, expected.is_null() ? ErrorCode::kBadFile : ErrorCode::kUsage);
  if (!expected.is_null()) {
    EXPECT_EQ(rendered.error().message, expected.get<std::string>());
  }
}

TEST(JinjaGolden, AllOtherTemplatesRenderAsInPython) {
  const Json golden = read_golden("templates");
  const Json cases = read_golden("conversations");
  ASSERT_GE(golden.size(), 29U);
  for (const auto& [name, results] : golden.items()) {
    const std::string source = shared_template(name);
    if (source.empty()) GTEST_SKIP() << "needs ../shared/data/templates";
    const auto parsed = JinjaTemplate::parse(source);
    ASSERT_TRUE(parsed.has_value()) << name << ": " << parsed.error().message;
    ASSERT_EQ(cases.size(), results.size());
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(name + ": " + cases[i]["name"].get<std::string>());
      expect_same_hash(*parsed, cases[i]["variables"], results[i]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, JinjaTemplates,
                         testing::Values("smollm2", "llama31", "llama32", "qwen25", "qwen3"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace spillway::formats
