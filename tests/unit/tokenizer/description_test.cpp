// The tokenizer's metadata in a GGUF file: taken out once, and refused where it cannot be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "formats/tokenizer.h"
#include "support/gguf_builder.h"
#include "support/memory_file.h"

namespace spillway::formats {
namespace {

using test::GgufBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The fields of a file; a test changes one.
struct Fields {
  std::string model = "llama";
  std::optional<std::string> pre = "gpt-2";
  std::vector<std::string> tokens = {"<unk>", "<s>", "<0x41>", "b"};
  std::vector<int32_t> types = {2, 3, 6, 1};
  std::vector<float> scores = {0, 0, 0, -1};
  std::vector<std::string> merges = {};
  uint32_t bos = 1;
  std::function<void(GgufBuilder&)> more = [](GgufBuilder&) {};

  Result<GgufFile> file() const {
    GgufBuilder builder;
    builder.add("tokenizer.ggml.model", model);
    if (pre) builder.add("tokenizer.ggml.pre", *pre);
    builder.add_array("tokenizer.ggml.tokens", tokens);
    if (!types.empty()) builder.add_array("tokenizer.ggml.token_type", types);
    if (!scores.empty()) builder.add_array("tokenizer.ggml.scores", scores);
    if (model == "gpt2") builder.add_array("tokenizer.ggml.merges", merges);
    builder.add("tokenizer.ggml.bos_token_id", bos);
    more(builder);
    return GgufFile::parse(test::MemoryFile(builder.build()));
  }
};

std::string refusal(const Fields& fields) {
  auto file = fields.file();
  if (!file) return "no file: " + file.error().message;
  const auto description = take_tokenizer_description(*file);
  if (description) return "accepted";
  EXPECT_EQ(description.error().code, ErrorCode::kBadFile);
  return description.error().message;
}

TEST(TokenizerDescription, IsTakenOutOfTheFile) {
  const Fields fields;
  auto file = fields.file();
  ASSERT_TRUE(file) << file.error().message;
  const auto d = take_tokenizer_description(*file);
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(d->tokens.size(), 4U);
  EXPECT_EQ(d->tokens[3], "b");
  EXPECT_THAT(d->types, ElementsAre(2, 3, 6, 1));
  EXPECT_THAT(d->scores, ElementsAre(0, 0, 0, -1));
  EXPECT_EQ(d->bos, 1);
  EXPECT_EQ(d->eos, std::nullopt);
  EXPECT_TRUE(d->add_bos);
  EXPECT_FALSE(d->add_eos);
  EXPECT_TRUE(d->add_space_prefix);
  for (const char* key : {"tokens", "scores", "token_type"}) {
    const GgufValue* left = file->find(std::string("tokenizer.ggml.") + key);
    EXPECT_TRUE(left == nullptr || std::holds_alternative<std::monostate>(*left)) << key;
  }
}

TEST(TokenizerDescription, BosIsAddedAsTheFileSaysOrTheFamilyDoes) {
  const auto adds_bos = [](const Fields& fields) {
    auto file = fields.file();
    return take_tokenizer_description(*file).value().add_bos;
  };
  EXPECT_TRUE(adds_bos({}));
  EXPECT_FALSE(
      adds_bos({.more = [](GgufBuilder& b) { b.add("tokenizer.ggml.add_bos_token", false); }}));
  EXPECT_FALSE(adds_bos({.model = "gpt2"}));
  EXPECT_TRUE(adds_bos({.model = "gpt2", .pre = "llama-bpe"}));
}

TEST(TokenizerDescription, RefusesArraysOfUnequalLength) {
  EXPECT_THAT(refusal({.types = {1, 1, 1}}), HasSubstr("4 tokens have 3 token types"));
  EXPECT_THAT(refusal({.scores = {1, 1, 1, 1, 1}}), HasSubstr("4 tokens have 5 scores"));
  EXPECT_THAT(refusal({.tokens = {}, .types = {}}), HasSubstr("0 tokens"));
}

TEST(TokenizerDescription, RefusesWhatIsOutOfRange) {
  EXPECT_THAT(refusal({.bos = 4}), HasSubstr("bos_token_id is 4, but the vocabulary has 4 tokens"));
  EXPECT_THAT(refusal({.bos = UINT32_MAX}), HasSubstr("4294967295"));
  EXPECT_THAT(
      refusal({.more = [](GgufBuilder& b) { b.add("tokenizer.ggml.eot_token_id", int32_t{-1}); }}),
      HasSubstr("eot_token_id"));
  EXPECT_THAT(refusal({.types = {2, 3, 6, 7}}), HasSubstr("token 3 has type 7"));
  EXPECT_THAT(refusal({.types = {2, 3, 6, -1}}), HasSubstr("token 3 has type -1"));
  EXPECT_THAT(refusal({.scores = {0, 0, 0, std::numeric_limits<float>::quiet_NaN()}}),
              HasSubstr("token 3's score is NaN"));
}

TEST(TokenizerDescription, RefusesByteTokensThatAreNone) {
  for (const char* text :
       {"<0x100>", "<0x4>", "<0xGG>", "<0x 4>", "<0x+4>", "<0x-1>", "A", "", "<0x41", "(0x41)"})
    EXPECT_THAT(refusal({.tokens = {"<unk>", "<s>", text, "b"}}), HasSubstr("byte token 2 is"))
        << text;
}

TEST(TokenizerDescription, RefusesUnknownFamiliesAndPreTokenizers) {
  EXPECT_THAT(refusal({.model = "bert"}),
              AllOf(HasSubstr("'bert'"), HasSubstr("gpt2"), HasSubstr("llama")));
  EXPECT_THAT(refusal({.model = "gpt2", .pre = "bloom"}),
              AllOf(HasSubstr("'bloom'"), HasSubstr("smollm"), HasSubstr("qwen2")));
  EXPECT_THAT(refusal({.model = "gpt2", .pre = std::nullopt}), HasSubstr("tokenizer.ggml.pre"));
}

TEST(TokenizerDescription, RefusesMissingAndMistypedArrays) {
  EXPECT_THAT(refusal({.scores = {}}), HasSubstr("tokenizer.ggml.scores"));
  EXPECT_THAT(refusal({.types = {},
                       .more =
                           [](GgufBuilder& b) {
                             b.add_array<float>("tokenizer.ggml.token_type", {1, 1, 1, 1});
                           }}),
              HasSubstr("tokenizer.ggml.token_type"));
}

}  // namespace
}  // namespace spillway::formats
