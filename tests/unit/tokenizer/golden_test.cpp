// SmolLM2's ids against llama.cpp's. Made by:
//   python tools/make_tokenizer_golden.py models/SmolLM2-135M-Instruct.Q4_1.gguf ../shared/data
//       > tests/golden/tokenizer_smollm2.jsonl
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "real_vocabularies.h"

namespace spillway::formats {
namespace {

void compare_text(const Tokenizer& tokenizer, const nlohmann::json& line) {
  const auto text = line["text"].get<std::string>();
  EXPECT_EQ(tokenizer.encode(text, {}), line["plain"].get<std::vector<TokenId>>()) << text;
  const auto ids = tokenizer.encode(text, {.parse_special = true});
  EXPECT_EQ(ids, line["special"].get<std::vector<TokenId>>()) << text;
  EXPECT_EQ(tokenizer.decode(ids, true), text);
}

void compare_file(const Tokenizer& tokenizer, const nlohmann::json& line) {
  const auto text = test::read_text(test::shared_path(line["file"].get<std::string>()));
  if (!text) return;  // only the shared data has it
  const auto ids = tokenizer.encode(*text, {});
  EXPECT_EQ(ids.size(), line["count"].get<size_t>()) << line["file"];
  EXPECT_EQ(test::fnv1a(ids), line["fnv1a"].get<std::string>()) << line["file"];
  EXPECT_EQ(tokenizer.decode(ids), *text);
}

TEST(TokenizerGolden, SmolLm2) {
  const std::string source = SPILLWAY_SOURCE_DIR;
  auto description = test::gguf_vocabulary(source + "/models/SmolLM2-135M-Instruct.Q4_1.gguf");
  if (!description) GTEST_SKIP() << description.error().message;
  const auto tokenizer = Tokenizer::create(std::move(*description));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_LT(tokenizer->memory_bytes(), 2U << 20);
  const auto golden = test::read_text(source + "/tests/golden/tokenizer_smollm2.jsonl");
  ASSERT_TRUE(golden) << golden.error().message;
  std::istringstream lines(*golden);
  size_t compared = 0;
  for (std::string text; std::getline(lines, text); ++compared) {
    const nlohmann::json line = nlohmann::json::parse(text);
    if (line.contains("file"))
      compare_file(*tokenizer, line);
    else
      compare_text(*tokenizer, line);
  }
  EXPECT_GE(compared, 40U);
}

}  // namespace
}  // namespace spillway::formats
