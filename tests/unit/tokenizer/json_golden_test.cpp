// tokenizer.json against the tokenizers package: tests/golden/tokenizer_json.json, made by
// tools/make_tokenizer_json_golden.py.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/tokenizer_json.h"
#include "real_vocabularies.h"
#include "support/memory_file.h"

namespace spillway::formats {
namespace {

using nlohmann::ordered_json;

const ordered_json& golden() {
  static const ordered_json read = [] {
    const auto text =
        test::read_text(std::string(SPILLWAY_SOURCE_DIR) + "/tests/golden/tokenizer_json.json");
    return ordered_json::parse(text.value());
  }();
  return read;
}

// A case names the vocabulary that its steps go with.
ordered_json with_vocabulary(const ordered_json& one, bool merges_are_pairs) {
  ordered_json tokenizer = one["tokenizer"];
  const ordered_json& base = golden()[one["base"].get<std::string>()];
  tokenizer["model"]["vocab"] = base["vocab"];
  auto& merges = tokenizer["model"]["merges"] = base["merges"];
  if (!merges_are_pairs) return tokenizer;
  for (auto& merge : merges) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    merge = ordered_json::array({text.substr(0, space), text.substr(space + 1)});
  }
  return tokenizer;
}

Result<Tokenizer> tokenizer_of(const ordered_json& one, bool merges_are_pairs = false) {
  SPILLWAY_ASSIGN(
      auto description,
      read_tokenizer_json(test::file_of(with_vocabulary(one, merges_are_pairs).dump())));
  return Tokenizer::create(std::move(description));
}

class TokenizerJson : public testing::TestWithParam<size_t> {
 protected:
  const ordered_json& one() const { return golden()["cases"][GetParam()]; }
};

TEST_P(TokenizerJson, GivesTheIdsOfTheTokenizersPackage) {
  for (const bool merges_are_pairs : {false, true}) {
    const auto tokenizer = tokenizer_of(one(), merges_are_pairs);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    for (size_t i = 0; i < golden()["texts"].size(); ++i) {
      const auto text = golden()["texts"][i].get<std::string>();
      EXPECT_EQ(tokenizer->encode(text, {.parse_special = true, .add_special = true}),
                one()["ids"][i].get<std::vector<TokenId>>())
          << text;
    }
  }
}

TEST_P(TokenizerJson, GivesTheIdsOfWholeFiles) {
  const auto tokenizer = tokenizer_of(one());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (const auto& [name, expected] : one()["files"].items()) {
    const auto text = test::read_text(test::shared_path(name));
    if (!text) GTEST_SKIP() << "the shared data is not there";
    const auto ids = tokenizer->encode(*text, {.parse_special = true});
    EXPECT_EQ(ids.size(), expected["count"].get<size_t>()) << name;
    EXPECT_EQ(test::fnv1a(ids), expected["fnv1a"].get<std::string>()) << name;
  }
}

std::string name_of(size_t at) {
  return golden()["cases"][at]["name"].get<std::string>();
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerJson, testing::Range<size_t>(0, golden()["cases"].size()),
                         [](const auto& instance) { return name_of(instance.param); });

// What text became comes back, where no step forgets a part of it.
TEST(TokenizerJsonDecode, GivesTheTextBack) {
  for (const ordered_json& one : golden()["cases"]) {
    const auto name = one["name"].get<std::string>();
    const bool loses_text = name == "behaviors" || name == "no_fallback" || name == "word_rules" ||
                            name == "phi3" || name == "normalized" || name == "qwen2";
    if (loses_text) continue;
    const auto tokenizer = tokenizer_of(one);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    for (const char* text :
         {"Hello world", "naïve café\n\n 3.14", "x</s> y <s>z", "👩‍👧 ok", ""})
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {}), true),
                name == "prefix_space" && *text != '\0' ? std::string(" ") + text : text)
          << name;
  }
}

}  // namespace
}  // namespace spillway::formats
