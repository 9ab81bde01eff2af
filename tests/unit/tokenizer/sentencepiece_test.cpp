// SentencePiece BPE on a vocabulary that can be followed by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/small_vocabularies.h"

namespace spillway::formats {
namespace {

using ::testing::ElementsAre;

Tokenizer make(const std::vector<std::string>& pieces, bool add_space = true) {
  auto description = test::sentencepiece_description(pieces);
  description.add_space_prefix = add_space;
  auto made = Tokenizer::create(std::move(description));
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

std::vector<std::string> texts(const Tokenizer& tokenizer, std::string_view text,
                               EncodeOptions options = {}) {
  std::vector<std::string> all;
  for (const TokenId id : tokenizer.encode(text, options))
    all.emplace_back(tokenizer.token_text(id));
  return all;
}

TEST(SentencePieceBpe, BestScoreGoesFirst) {
  const Tokenizer tokenizer = make({"bc", "ab", "a", "b", "c"}, false);
  EXPECT_THAT(texts(tokenizer, "abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(texts(tokenizer, "abab"), ElementsAre("ab", "ab"));
}

TEST(SentencePieceBpe, PutsASpaceInFrontAndTakesItAwayAgain) {
  const Tokenizer tokenizer = make(test::some_pieces());
  EXPECT_THAT(texts(tokenizer, "hello hello"), ElementsAre("▁hello", "▁hello"));
  EXPECT_THAT(texts(tokenizer, " hello"), ElementsAre("▁▁", "hello"));
  EXPECT_THAT(texts(tokenizer, ""), ElementsAre());
  for (const char* text : {"", "hello", " hello", "  ", "hello  hello "})
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {})), text);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("hello", {.add_special = true})), "hello");
  EXPECT_EQ(tokenizer.piece(tokenizer.encode("hello", {})[0]), " hello");
}

TEST(SentencePieceBpe, WithoutTheSpaceInFront) {
  const Tokenizer tokenizer = make(test::some_pieces(), false);
  EXPECT_THAT(texts(tokenizer, "hello"), ElementsAre("hello"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" hello", {})), " hello");
}

TEST(SentencePieceBpe, WhatIsNoTokenBecomesBytes) {
  const Tokenizer tokenizer = make({"▁"});
  EXPECT_THAT(texts(tokenizer, "ü\xFF"), ElementsAre("▁", "<0xC3>", "<0xBC>", "<0xFF>"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ü\xFF\xE2\x96", {})), "ü\xFF\xE2\x96");
}

TEST(SentencePieceBpe, ASpaceThatIsNoTokenBecomesItsByte) {
  const Tokenizer tokenizer = make({"a"});
  EXPECT_THAT(texts(tokenizer, "a"), ElementsAre("<0x20>", "a"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" a", {})), " a");
}

TEST(SentencePieceBpe, WithoutByteTokensItIsUnknown) {
  TokenizerDescription description;
  description.model = "llama";
  for (const char* text : {"<unk>", "a"}) description.tokens.push_back(text);
  description.types = {2, 1};
  description.scores = {0, -1};
  description.add_space_prefix = false;
  description.unknown = 0;
  const auto tokenizer = Tokenizer::create(std::move(description));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT(tokenizer->encode("aüa", {}), ElementsAre(1, 0, 1));
}

TEST(SentencePieceBpe, ControlTokensAreNeverPutTogetherFromText) {
  const Tokenizer tokenizer = make(test::some_pieces(), false);
  EXPECT_THAT(texts(tokenizer, "</s>"), ElementsAre("</", "s>"));
  EXPECT_THAT(texts(tokenizer, "</s>", {.parse_special = true}), ElementsAre("</s>"));
}

TEST(SentencePieceBpe, TokensAcrossWordsAreFound) {
  const Tokenizer tokenizer = make({"a▁", "a▁b", "a", "b", "▁"}, false);
  EXPECT_THAT(texts(tokenizer, "a ba b"), ElementsAre("a▁b", "a▁b"));
}

TEST(SentencePieceBpe, ASpaceInFrontOfEveryTextBetweenSpecialTokens) {
  const Tokenizer tokenizer = make(test::some_pieces());
  const EncodeOptions options{.parse_special = true, .add_special = true};
  EXPECT_THAT(texts(tokenizer, "hello</s>hello", options),
              ElementsAre("<s>", "▁hello", "</s>", "▁hello"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("hello</s>hello", options), true),
            "<s>hello</s>hello");
}

// With all byte tokens no text becomes the unknown token, so one in the ids was parsed.
TEST(SentencePieceBpe, TheUnknownTokenIsParsedLikeAnyOther) {
  const Tokenizer tokenizer = make(test::some_pieces());
  for (const char* text : {"a<unk>b", "a<unk> b", "<unk><unk>hello", "<unk>\r\n"}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.parse_special = true}), true), text);
  }
}

// Quadratic time would run into the test's limit here.
TEST(SentencePieceBpe, LongRunsTakeLinearTime) {
  std::vector<std::string> across = test::some_pieces();
  across.emplace_back("a▁");  // words are not apart
  for (const auto& pieces : {test::some_pieces(), across}) {
    const Tokenizer tokenizer = make(pieces);
    for (const char* unit : {"a", " ", "\n", "é", "\xFF", "a "}) {
      std::string text;
      while (text.size() < 1 << 18) text += unit;
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {})), text) << unit;
    }
  }
}

}  // namespace
}  // namespace spillway::formats
