// Real vocabularies against the ids that llama.cpp publishes for them (shared data's README).
#include <gtest/gtest.h>

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

void compare(const std::string& name, Result<TokenizerDescription> description) {
  const auto texts =
      test::read_text(test::shared_path("tokenizers/ggml-vocab-" + name + ".gguf.inp"));
  const auto lines =
      test::read_text(test::shared_path("tokenizers/ggml-vocab-" + name + ".gguf.out"));
  if (!texts || !lines) GTEST_SKIP() << "the shared data is not there";
  ASSERT_TRUE(description) << description.error().message;
  const auto tokenizer = Tokenizer::create(std::move(*description));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto inputs = split(*texts, "\n__ggml_vocab_test__\n");
  const auto outputs = split(*lines, "\n");
  ASSERT_GE(inputs.size(), 47U);
  ASSERT_GE(outputs.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto ids = tokenizer->encode(inputs[i], {});
    EXPECT_EQ(ids, read_ids(outputs[i])) << name << " text " << i << ": '" << inputs[i] << "'";
    EXPECT_EQ(tokenizer->decode(ids), inputs[i]);
  }
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
