// Compares with what Python's jinja2 rendered: tests/golden/jinja/, made by
// tools/make_jinja_golden.py.
#include <gtest/gtest.h>

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

TEST_P(JinjaTemplates, RenderConversationsAsInPython) {
  const Json golden = read_golden(GetParam());
  std::string source;
  if (golden.contains("source")) {
    source = golden["source"];
  } else {
    std::ifstream file(SPILLWAY_SHARED_DATA "/templates/" + golden["file"].get<std::string>());
    if (!file) GTEST_SKIP() << "needs ../shared/data/templates";
    std::stringstream text;
    text << file.rdbuf();
    source = text.str();
  }
  const Json cases = read_golden("conversations");
  ASSERT_EQ(cases.size(), golden["results"].size());
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i]["name"].get<std::string>());
    ASSERT_EQ(cases[i]["name"], golden["results"][i]["case"]);
    expect_same(source, cases[i]["variables"], golden["results"][i]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, JinjaTemplates,
                         testing::Values("smollm2", "llama31", "llama32", "qwen25", "qwen3"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace spillway::formats
