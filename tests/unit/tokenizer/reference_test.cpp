// Real vocabularies against the ids that llama.cpp publishes for them (shared data's README).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "real_vocabularies.h"

namespace spillway::formats {
namespace {

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end = 0; (end = text.find(separator, begin)) != std::string::npos;
       begin = end + separator.size())
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<TokenId> read_ids(const std::string& line) {
  std::istringstream numbers(line);
  std::vector<TokenId> ids;
  for (TokenId id = 0; numbers >> id;) ids.push_back(id);
  return ids;
}

void compare_texts(const std::string& name, const Tokenizer& tokenizer,
                   const std::vector<std::string>& texts) {
  const auto lines =
      test::read_text(test::shared_path("tokenizers/ggml-vocab-" + name + ".gguf.out"));
  if (!lines) return;  // of this one there are no published ids
  const auto outputs = split(*lines, "\n");
  ASSERT_GE(outputs.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto ids = tokenizer.encode(texts[i], {});
    EXPECT_EQ(ids, read_ids(outputs[i])) << name << " text " << i << ": '" << texts[i] << "'";
    EXPECT_EQ(tokenizer.decode(ids), texts[i]);
  }
}

// tests/golden/tokenizer_files.json: what the tokenizers package gives.
void compare_files(const std::string& name, const Tokenizer& tokenizer,
                   const std::vector<std::string>& texts) {
  const auto golden =
      test::read_text(std::string(SPILLWAY_SOURCE_DIR) + "/tests/golden/tokenizer_files.json");
  ASSERT_TRUE(golden) << golden.error().message;
  const auto expected = nlohmann::json::parse(*golden)[name];
  std::vector<TokenId> all;
  for (const std::string& text : texts)
    for (const TokenId id : tokenizer.encode(text, {})) all.push_back(id);
  EXPECT_EQ((nlohmann::json{all.size(), test::fnv1a(all)}), expected["inp"]) << name;
  for (const char* file : {"text/frankenstein.txt", "text/wiki.test.raw"}) {
    const auto text = test::read_text(test::shared_path(file));
    ASSERT_TRUE(text) << text.error().message;
    const auto ids = tokenizer.encode(*text, {});
    EXPECT_EQ((nlohmann::json{ids.size(), test::fnv1a(ids)}), expected[file]) << name;
    EXPECT_TRUE(tokenizer.decode(ids) == *text) << name << " " << file;
  }
}

void compare(const std::string& name, Result<TokenizerDescription> description) {
  const auto inputs = test::read_text(test::shared_path("tokenizers/ggml-vocab-gpt-2.gguf.inp"));
  if (!inputs) GTEST_SKIP() << "the shared data is not there";
  ASSERT_TRUE(description) << description.error().message;
  const auto tokenizer = Tokenizer::create(std::move(*description));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto texts = split(*inputs, "\n__ggml_vocab_test__\n");
  ASSERT_GE(texts.size(), 47U);
  compare_texts(name, *tokenizer, texts);
  if (name != "deepseek-r1-qwen") compare_files(name, *tokenizer, texts);  // is qwen2's again
}

// Skips inside compare() where the data is missing.
Result<TokenizerDescription> from_gguf(const std::string& name) {
  return test::gguf_vocabulary(test::shared_path("tokenizers/ggml-vocab-" + name + ".gguf"));
}

TEST(TokenizerReference, Gpt2) {
  compare("gpt-2", from_gguf("gpt-2"));
}
TEST(TokenizerReference, LlamaBpe) {
  compare("llama-bpe", test::llama3_vocabulary());
}
TEST(TokenizerReference, Qwen2) {
  compare("qwen2", test::qwen2_vocabulary());
}
TEST(TokenizerReference, DeepSeekR1Qwen) {
  compare("deepseek-r1-qwen", test::qwen2_vocabulary());
}
TEST(TokenizerReference, LlamaSpm) {
  compare("llama-spm", from_gguf("llama-spm"));
}
TEST(TokenizerReference, Phi3) {
  compare("phi-3", from_gguf("phi-3"));
}
// Its pre-tokenizer is smollm's.
TEST(TokenizerReference, Starcoder) {
  compare("starcoder", from_gguf("starcoder"));
}

TEST(TokenizerReference, DeepSeekLlm) {
  compare("deepseek-llm", from_gguf("deepseek-llm"));
}

TEST(TokenizerReference, ARealVocabularyIsSmall) {
  auto description = from_gguf("starcoder");
  if (!description) GTEST_SKIP() << description.error().message;
  const auto tokenizer = Tokenizer::create(std::move(*description));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->size(), 49152U);
  EXPECT_LT(tokenizer->memory_bytes(), 2U << 20);
}

}  // namespace
}  // namespace spillway::formats
