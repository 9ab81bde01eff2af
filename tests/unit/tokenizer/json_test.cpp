// tokenizer.json and tokenizer_config.json: what is taken, and what is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/tokenizer_json.h"
#include "support/memory_file.h"

namespace spillway::formats {
namespace {

using nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ordered_json small() {
  return ordered_json::parse(R"({
    "added_tokens": [{"id": 3, "content": "<s>", "special": true, "rstrip": true},
                     {"id": 6, "content": "<tool>", "special": false, "normalized": false}],
    "normalizer": {"type": "Prepend", "prepend": "▁"},
    "pre_tokenizer": null,
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]},
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true,
      "vocab": {"<unk>": 0, "a": 1, "b": 2, "<0x41>": 4, "ab": 5}, "merges": ["a b"]}})");
}

Result<TokenizerDescription> description_of(const ordered_json& json,
                                            const TokenizerConfig& config = {}) {
  return read_tokenizer_json(test::file_of(json.dump()), config);
}

std::string refusal(std::string_view pointer, const ordered_json& value) {
  ordered_json json = small();
  json[ordered_json::json_pointer(std::string(pointer))] = value;
  const auto read_back = description_of(json);
  if (read_back) return "accepted";
  EXPECT_EQ(read_back.error().code, ErrorCode::kBadFile);
  return read_back.error().message;
}

TEST(TokenizerJsonFile, IsTakenAsADescription) {
  const auto d = description_of(small());
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(d->model, "bpe");
  ASSERT_EQ(d->tokens.size(), 7U);
  EXPECT_EQ(d->tokens[3], "<s>");
  EXPECT_EQ(d->tokens[5], "ab");
  EXPECT_THAT(d->types, ElementsAre(1, 1, 1, 3, 6, 1, 4));
  EXPECT_EQ(d->merges.size(), 1U);
  EXPECT_EQ(d->unknown, 0);
  EXPECT_EQ(d->bos, 3);
  EXPECT_TRUE(d->add_bos);
  EXPECT_FALSE(d->add_eos);
  EXPECT_TRUE(d->add_space_prefix);
  ASSERT_EQ(d->added.size(), 1U);
  EXPECT_TRUE(d->added[0].rstrip);
}

TEST(TokenizerJsonFile, TheConfigNamesTokensAndHasTheLastWordOnBos) {
  const auto d = description_of(small(), {.eos = "<tool>", .add_bos = false});
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(d->eos, 6);
  EXPECT_EQ(d->bos, 3);
  EXPECT_FALSE(d->add_bos);
  const auto unknown = description_of(small(), {.eos = "</s>"});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("the EOS token is '</s>'"));
}

TEST(TokenizerJsonFile, IdsWithoutATokenAreUnused) {
  ordered_json json = small();
  json["model"]["vocab"]["far"] = 9;
  const auto d = description_of(json);
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(d->tokens.size(), 10U);
  EXPECT_EQ(d->tokens[8], "");
  EXPECT_EQ(d->types[8], 5);
}

TEST(TokenizerJsonFile, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(refusal("/model/type", "WordPiece"), HasSubstr("the model is 'WordPiece'"));
  EXPECT_THAT(refusal("/model/vocab", ordered_json::array({ordered_json::array({"a", -1.5})})),
              HasSubstr("as of Unigram models"));
  EXPECT_THAT(refusal("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(refusal("/model/dropout", 0.1), HasSubstr("dropout"));
  EXPECT_THAT(refusal("/normalizer", {{"type", "Lowercase"}}),
              HasSubstr("the normalizer 'Lowercase'"));
  EXPECT_THAT(refusal("/normalizer",
                      {{"type", "Replace"}, {"pattern", {{"Regex", " +"}}}, {"content", "x"}}),
              HasSubstr("a Replace of the pattern ' +'"));
  EXPECT_THAT(refusal("/pre_tokenizer", {{"type", "BertPreTokenizer"}}),
              HasSubstr("the pre-tokenizer 'BertPreTokenizer'"));
  EXPECT_THAT(refusal("/post_processor", {{"type", "X"}}), HasSubstr("the post-processor 'X'"));
  EXPECT_THAT(refusal("/decoder", {{"type", "WordPiece"}}), HasSubstr("the decoder 'WordPiece'"));
  EXPECT_THAT(refusal("/pre_tokenizer", {{"type", 7}}), HasSubstr("'type' is number"));
}

TEST(TokenizerJsonFile, RefusesAVocabularyThatCannotBe) {
  EXPECT_THAT(refusal("/model/vocab/a", 2), HasSubstr("id 2 is 'a' and 'b'"));
  EXPECT_THAT(refusal("/model/vocab/a", -1), HasSubstr("a negative number"));
  EXPECT_THAT(refusal("/model/vocab/a", "x"), HasSubstr("a text"));
  EXPECT_THAT(refusal("/model/vocab/a", 1.5), HasSubstr("a fraction"));
  EXPECT_THAT(refusal("/model/vocab/a", ordered_json::object()), HasSubstr("an object"));
  EXPECT_THAT(refusal("/model/vocab/a", 4294967296), HasSubstr("has the id 4294967296"));
  EXPECT_THAT(refusal("/model/vocab/a", 2000000000), HasSubstr("have ids up to 2000000000"));
  EXPECT_THAT(refusal("/added_tokens/0/id", 1), HasSubstr("id 1 is 'a' and '<s>'"));
  EXPECT_THAT(refusal("/added_tokens/0/content", 1), HasSubstr("'content' is number"));
  EXPECT_THAT(refusal("/model/merges/0", 1), HasSubstr("merges have a number"));
  EXPECT_THAT(refusal("/model/merges/0", ordered_json::array({"a"})), HasSubstr("not two parts"));
  EXPECT_THAT(refusal("/model/merges/0", ordered_json::array({"a", "b", "c"})),
              HasSubstr("more than two parts"));
  EXPECT_THAT(refusal("/model/vocab", ordered_json::object()), HasSubstr("'<unk>'"));
}

TEST(TokenizerJsonFile, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "[1,", "{\"model\": nonsense}", "\xFF", "{} {}"}) {
    const auto read_back = read_tokenizer_json(test::file_of(text));
    ASSERT_FALSE(read_back) << text;
    EXPECT_THAT(read_back.error().message, HasSubstr("not JSON at byte")) << text;
  }
  EXPECT_THAT(description_of(ordered_json::object()).error().message,
              HasSubstr("'model' is missing"));
  const std::string deep(1'000'000, '[');
  EXPECT_THAT(read_tokenizer_json(test::file_of(deep)).error().message,
              HasSubstr("nested too deep"));
}

TEST(TokenizerJsonFile, AFailingDiskIsNotABadFile) {
  auto file = test::file_of(small().dump());
  file.before_read([](uint64_t) { return fail(ErrorCode::kMachine, "the disk is gone"); });
  const auto read_back = read_tokenizer_json(file);
  ASSERT_FALSE(read_back);
  EXPECT_EQ(read_back.error().code, ErrorCode::kMachine);
}

TEST(TokenizerConfigFile, NamesTokensAndTheTemplate) {
  const auto config = read_tokenizer_config(test::file_of(R"({
    "bos_token": "<s>", "eos_token": {"content": "</s>", "special": true}, "unk_token": null,
    "add_bos_token": true, "model_max_length": 1e30,
    "chat_template": [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
    })"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->bos, "<s>");
  EXPECT_EQ(config->eos, "</s>");
  EXPECT_EQ(config->add_bos, true);
  EXPECT_EQ(config->add_eos, std::nullopt);
  EXPECT_EQ(config->chat_template, "b");
  EXPECT_EQ(read_tokenizer_config(test::file_of(R"({"chat_template": "c"})"))->chat_template, "c");
  EXPECT_EQ(read_tokenizer_config(test::file_of("{}"))->chat_template, std::nullopt);
  EXPECT_THAT(read_tokenizer_config(test::file_of(R"({"eos_token": 7})")).error().message,
              HasSubstr("'eos_token' is number"));
}

}  // namespace
}  // namespace spillway::formats
