// Tokenizers on their way from GGUF to tokenizer.json and back: nothing of them is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/tokenizer_cuts.h"
#include "formats/tokenizer_export.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_json_steps.h"
#include "formats/tokenizer_patterns.h"
#include "formats/tokenizer_pretokenizer.h"
#include "real_vocabularies.h"
#include "support/memory_file.h"

namespace spillway::formats {
namespace {

using ::testing::HasSubstr;

GgufFile written(const GgufHeader& header) {
  auto file = GgufFile::parse(test::file_of(header.bytes(), header.file_bytes()));
  EXPECT_TRUE(file) << file.error().message;
  return *std::move(file);
}

std::vector<std::string> words(const std::vector<SplitStep>& steps, std::string_view text) {
  const auto pre_tokenizer = PreTokenizer::create(steps);
  EXPECT_TRUE(pre_tokenizer) << pre_tokenizer.error().message;
  WordCursor cursor(*pre_tokenizer, text);
  std::vector<std::string> all;
  for (auto word = cursor.next(); !word.empty(); word = cursor.next()) all.emplace_back(word);
  return all;
}

TEST(TokenizerConversion, CutsAreSpelledAsTheirNamesMeanThem) {
  constexpr std::string_view kText =
      "I'LL say: they'll HelloWorld naïveTÉst ÀÉ 12345 x67  \t\r\n\n  end/\n//path 日本語テキスト "
      "ǅabc ʰa̐b '' 'tis...!?\n a   b";
  for (const SpelledCut& cut : spelled_cuts()) {
    const auto named = find_named_cut(cut.name);
    ASSERT_TRUE(named) << named.error().message;
    const Json json = cut.pre_tokenizer();
    const auto spelled = read_pre_tokenizer(&json);
    ASSERT_TRUE(spelled) << spelled.error().message;
    EXPECT_EQ(words(spelled->splits, kText), words(named->steps, kText)) << cut.name;
    EXPECT_EQ(cut.whole_words_first, named->whole_words_first) << cut.name;
  }
}

// From the GGUF file to tokenizer.json and back.
void compare_round_trip(const std::string& name, TokenType type_of_unknown) {
  const auto text = test::read_text(test::shared_path("text/frankenstein.txt"));
  if (!text) GTEST_SKIP() << text.error().message;
  const auto path = test::shared_path("tokenizers/ggml-vocab-" + name + ".gguf");
  const auto original = test::gguf_vocabulary(path);
  ASSERT_TRUE(original) << original.error().message;
  const auto bytes = test::read_text(path);
  ASSERT_TRUE(bytes) << bytes.error().message;
  auto source = GgufFile::parse(test::file_of(*bytes));
  ASSERT_TRUE(source) << source.error().message;
  const auto exported = export_tokenizer(*source, 2048);
  ASSERT_TRUE(exported) << exported.error().message;
  const auto config = read_tokenizer_config(test::file_of(exported->config));
  ASSERT_TRUE(config) << config.error().message;
  auto folder = read_tokenizer_json(test::file_of(exported->tokenizer), *config);
  ASSERT_TRUE(folder) << folder.error().message;

  GgufHeader header;
  header.add("general.architecture", "llama");
  const auto added =
      add_gguf_tokenizer({.tokenizer = *std::move(folder), .chat_template = "{{ a }}"},
                         original->tokens.size() + 2, header);
  ASSERT_TRUE(added) << added.error().message;
  GgufFile back = written(header);
  EXPECT_EQ(*back.string_value("tokenizer.chat_template"), "{{ a }}");
  auto d = take_tokenizer_description(back);
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(d->tokens[original->tokens.size()], fmt::format("[PAD{}]", original->tokens.size()));
  for (size_t i = 0; i < original->tokens.size(); ++i) {
    ASSERT_EQ(d->tokens[i], original->tokens[i]) << i;
    if (original->unknown && static_cast<size_t>(*original->unknown) == i) {
      EXPECT_EQ(d->types[i], static_cast<int64_t>(type_of_unknown));
    } else {
      ASSERT_EQ(d->types[i], original->types[i]) << d->tokens[i];
    }
  }
  EXPECT_EQ(d->bos, original->bos);
  EXPECT_EQ(d->eos, original->eos);
  EXPECT_EQ(d->unknown, original->unknown);
  EXPECT_EQ(d->padding, original->padding);
  EXPECT_EQ(d->add_bos, original->add_bos);
  EXPECT_EQ(d->whole_words_first, original->whole_words_first);
  const auto before = Tokenizer::create(*original);
  const auto after = Tokenizer::create(*std::move(d));
  const EncodeOptions options{.parse_special = true, .add_special = true};
  EXPECT_TRUE(after->encode(*text, options) == before->encode(*text, options));
}

TEST(TokenizerConversion, SentencePieceComesBack) {
  compare_round_trip("llama-spm", TokenType::kUnknown);
}

TEST(TokenizerConversion, ByteLevelComesBack) {
  compare_round_trip("starcoder", TokenType::kControl);
}

// What Gemma's and Llama's look like, small: all bytes, a few letters.
TokenizerFolder sentence_piece() {
  TokenizerFolder folder;
  TokenizerDescription& d = folder.tokenizer;
  d.model = "bpe";
  for (const char* text : {"<unk>", "a", "b", "ab", "\xE2\x96\x81"}) d.tokens.push_back(text);
  for (int byte = 0; byte < 256; ++byte) d.tokens.push_back(fmt::format("<0x{:02X}>", byte));
  d.types.assign(d.tokens.size(), static_cast<int64_t>(TokenType::kByte));
  std::fill_n(d.types.begin(), 5, static_cast<int64_t>(TokenType::kNormal));
  d.merges.push_back("a b");
  d.normalizer = {{.kind = TextStep::Kind::kReplace, .from = " ", .to = "\xE2\x96\x81"}};
  d.add_space_prefix = false;
  d.unknown = 0;
  return folder;
}

std::string refusal(TokenizerFolder folder, size_t rows = 261) {
  GgufHeader header;
  const auto added = add_gguf_tokenizer(std::move(folder), rows, header);
  if (added) return "accepted";
  EXPECT_EQ(added.error().code, ErrorCode::kBadFile);
  return added.error().message;
}

TEST(TokenizerConversion, ScoresAreThePlacesOfMerges) {
  GgufHeader header;
  const auto added = add_gguf_tokenizer(sentence_piece(), 261, header);
  ASSERT_TRUE(added) << added.error().message;
  GgufFile file = written(header);
  EXPECT_EQ(*file.bool_value("tokenizer.ggml.add_space_prefix", true), false);
  const auto d = take_tokenizer_description(file);
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_GT(d->scores[3], d->scores[1]);
  EXPECT_EQ(d->types[0], static_cast<int64_t>(TokenType::kUnknown));
}

TEST(TokenizerConversion, WhatGgufHasNoPlaceForIsRefused) {
  EXPECT_EQ(refusal(sentence_piece()), "accepted");
  TokenizerFolder words = sentence_piece();
  words.tokenizer.splits = {{.pattern = R"(\p{N})"}};
  EXPECT_THAT(refusal(words), HasSubstr("cuts text into words"));
  TokenizerFolder composed = sentence_piece();
  composed.tokenizer.normalizer.push_back({.kind = TextStep::Kind::kNfkc});
  EXPECT_THAT(refusal(composed), HasSubstr("changes text"));
  TokenizerFolder without_bytes = sentence_piece();
  without_bytes.tokenizer.types[7] = static_cast<int64_t>(TokenType::kNormal);
  EXPECT_THAT(refusal(without_bytes), HasSubstr("single bytes"));
  TokenizerFolder ordinary = sentence_piece();
  ordinary.tokenizer.types.back() = static_cast<int64_t>(TokenType::kNormal);
  EXPECT_THAT(refusal(ordinary, 260), HasSubstr("261 tokens"));

  TokenizerFolder bytes = sentence_piece();
  bytes.tokenizer.model = "gpt2";
  bytes.tokenizer.normalizer = {};
  bytes.tokenizer.splits = {{.pattern = R"(\p{L}+)"}};
  EXPECT_THAT(refusal(bytes), HasSubstr("no name for; converted are gpt-2, smollm"));
  bytes.tokenizer.normalizer = {{.kind = TextStep::Kind::kNfd}};
  EXPECT_THAT(refusal(bytes), HasSubstr("before it cuts it"));
}

TEST(TokenizerConversion, TokensWithoutRowsGoWhereTextCannotBecomeThem) {
  TokenizerFolder folder = sentence_piece();
  folder.tokenizer.tokens.push_back("<image>");
  folder.tokenizer.types.push_back(static_cast<int64_t>(TokenType::kControl));
  GgufHeader header;
  const auto added = add_gguf_tokenizer(std::move(folder), 261, header);
  ASSERT_TRUE(added) << added.error().message;
  const GgufFile file = written(header);
  EXPECT_EQ(std::get<StringArray>(*file.find("tokenizer.ggml.tokens")).size(), 261U);
}

TEST(TokenizerConversion, OfTheEndsOfTurnsTheUnknownOneIsWritten) {
  TokenizerFolder folder = sentence_piece();
  folder.tokenizer.eos = 1;
  folder.tokenizer.ends = {1, 3};
  GgufHeader header;
  ASSERT_TRUE(add_gguf_tokenizer(folder, 261, header));
  EXPECT_EQ(*written(header).unsigned_value("tokenizer.ggml.eot_token_id"), 3U);
  folder.tokenizer.ends = {1};
  GgufHeader without;
  ASSERT_TRUE(add_gguf_tokenizer(folder, 261, without));
  EXPECT_EQ(written(without).find("tokenizer.ggml.eot_token_id"), nullptr);
}

}  // namespace
}  // namespace spillway::formats
