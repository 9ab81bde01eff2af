// What both families share: special tokens, pieces, ends of a turn, and the stream decoder.
#include "formats/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/small_vocabularies.h"

namespace spillway::formats {
namespace {

using ::testing::ElementsAre;

class TokenizerTest : public ::testing::Test {
 protected:
  static Tokenizer make() {
    auto made = Tokenizer::create(test::byte_level_description("gpt-2", test::some_merges()));
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  Tokenizer tokenizer_ = make();
};

TEST_F(TokenizerTest, ControlTokensAreParsedOnlyWhereAsked) {
  EXPECT_THAT(tokenizer_.encode("a<|end|>b", {.parse_special = true}), ElementsAre('a', 256, 'b'));
  EXPECT_THAT(tokenizer_.encode("<|e", {.parse_special = true}), ElementsAre('<', '|', 'e'));
  EXPECT_THAT(tokenizer_.encode("<|end|>", {}), ElementsAre('<', '|', 'e', 'n', 'd', '|', '>'));
}

TEST_F(TokenizerTest, TheLongestSpecialTokenWins) {
  EXPECT_THAT(tokenizer_.encode("<|end|>x<|end|>y", {.parse_special = true}),
              ElementsAre(257, 256, 'y'));
  EXPECT_THAT(tokenizer_.encode("<<|end|>", {.parse_special = true}), ElementsAre('<', 256));
}

TEST_F(TokenizerTest, UserDefinedTokensAreAlwaysParsed) {
  EXPECT_THAT(tokenizer_.encode("a<tool>", {}), ElementsAre('a', 258));
  EXPECT_EQ(tokenizer_.piece(258), "<tool>");
}

TEST_F(TokenizerTest, ControlTokensHaveATextOnlyWhereAsked) {
  EXPECT_EQ(tokenizer_.piece(256), "");
  EXPECT_EQ(tokenizer_.piece(256, true), "<|end|>");
  EXPECT_EQ(tokenizer_.decode({'a', 256, 'b'}), "ab");
  EXPECT_EQ(tokenizer_.decode({'a', 256, 'b'}, true), "a<|end|>b");
}

TEST_F(TokenizerTest, SaysWhatEndsATurn) {
  auto description = test::byte_level_description("gpt-2", {});
  description.eos = 'z';
  description.eot = 'y';
  const auto tokenizer = Tokenizer::create(std::move(description));
  ASSERT_TRUE(tokenizer);
  for (const TokenId id : {TokenId{'z'}, TokenId{'y'}, TokenId{256}})
    EXPECT_TRUE(tokenizer->is_end(id)) << id;
  for (const TokenId id : {TokenId{'a'}, TokenId{257}, TokenId{258}})
    EXPECT_FALSE(tokenizer->is_end(id)) << id;
}

TEST_F(TokenizerTest, UserDefinedTokensThatEndATurnAreControlTokens) {
  auto description = test::byte_level_description("gpt-2", {});
  description.eos = 258;
  const auto tokenizer = Tokenizer::create(std::move(description));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->encode("<tool>", {}).size(), 6U);
  EXPECT_THAT(tokenizer->encode("<tool>", {.parse_special = true}), ElementsAre(258));
}

TEST_F(TokenizerTest, AddsTokensOnlyWhereTheModelHasThem) {
  EXPECT_THAT(tokenizer_.encode("a", {.add_special = true}), ElementsAre('a'));
  auto description = test::byte_level_description("gpt-2", {});
  description.add_bos = description.add_eos = true;
  const auto tokenizer = Tokenizer::create(std::move(description));
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("a", {.add_special = true}), ElementsAre(256, 'a', 256));
  EXPECT_THAT(tokenizer->encode("a", {}), ElementsAre('a'));
}

TEST(StreamDecoder, EmitsWholeCharactersOnly) {
  StreamDecoder decoder;
  EXPECT_EQ(decoder.push("a\xF0"), "a");
  EXPECT_EQ(decoder.push("\x9F\x98"), "");
  EXPECT_EQ(decoder.push("\x80z\xC3"), "\xF0\x9F\x98\x80z");
  EXPECT_EQ(decoder.push("\xA9"), "é");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, PassesOnWhatCanNeverBeACharacter) {
  StreamDecoder decoder;
  EXPECT_EQ(decoder.push("\xFF"), "\xFF");
  EXPECT_EQ(decoder.push("\x80"), "\x80");
  EXPECT_EQ(decoder.push("\xED\xA0"), "\xED\xA0");  // a surrogate
  EXPECT_EQ(decoder.push("\xC3"), "");
  EXPECT_EQ(decoder.push("x"), "\xC3x");
  EXPECT_EQ(decoder.push("\xE2\x82"), "");
  EXPECT_EQ(decoder.finish(), "\xE2\x82");
  EXPECT_EQ(decoder.finish(), "");
}

}  // namespace
}  // namespace spillway::formats
