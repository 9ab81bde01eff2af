// Byte-level BPE on vocabularies that can be followed by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/small_vocabularies.h"

namespace spillway::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tokenizer make(const std::string& pre, const std::vector<std::string>& merges) {
  auto made = Tokenizer::create(test::byte_level_description(pre, merges));
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

// The words of a text, by the pieces of a tokenizer whose merges join everything in a word.
std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> all;
  for (const TokenId id : tokenizer.encode(text, {})) all.push_back(tokenizer.piece(id));
  return all;
}

TEST(ByteLevelBpe, LowestRankGoesFirstThenLeftmost) {
  const Tokenizer tokenizer = make("gpt-2", {"b c", "a b", "a a", "aa a"});
  EXPECT_THAT(pieces(tokenizer, "abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(pieces(tokenizer, "aaaaa"), ElementsAre("aa", "aaa"));
  EXPECT_THAT(pieces(tokenizer, "abab"), ElementsAre("ab", "ab"));
}

TEST(ByteLevelBpe, WholeWordsGoFirstOnlyForLlama3) {
  // "abc" is a token that its merges do not lead to.
  const std::vector<std::string> merges = {"b c", "a b", "ab c"};
  EXPECT_THAT(pieces(make("llama-bpe", merges), "abc"), ElementsAre("abc"));
  EXPECT_THAT(pieces(make("qwen2", merges), "abc"), ElementsAre("a", "bc"));
}

TEST(ByteLevelBpe, MergesStayWithinWords) {
  const std::vector<std::string> merges = {"1 2", "12 3", "123 4", "Ġ Ġ", "Ġ x", "ĠĠ x", "Ċ Ċ"};
  EXPECT_THAT(pieces(make("smollm", merges), "1234  x"),
              ElementsAre("1", "2", "3", "4", " ", " x"));
  EXPECT_THAT(pieces(make("gpt-2", merges), "1234  x"), ElementsAre("1234", " ", " x"));
  EXPECT_THAT(pieces(make("llama-bpe", merges), "1234  x"), ElementsAre("123", "4", " ", " x"));
  EXPECT_THAT(pieces(make("qwen2", merges), "1234  x"), ElementsAre("1", "2", "3", "4", " ", " x"));
}

TEST(ByteLevelBpe, SmollmTakesSpacesBeforeADigitTogether) {
  const std::vector<std::string> merges = {"Ġ Ġ", "ĠĠ Ġ"};
  EXPECT_THAT(pieces(make("smollm", merges), "   1"), ElementsAre("   ", "1"));
  EXPECT_THAT(pieces(make("gpt-2", merges), "   1"), ElementsAre("  ", " ", "1"));
}

TEST(ByteLevelBpe, BytesThatAreNoTextSurvive) {
  const Tokenizer tokenizer = make("llama-bpe", test::some_merges());
  const std::string bytes = "a\xFF\xC3\xC3\xA9\xED\xA0\x80\xF0\x9F\x98 \xF4\x90\x80\x80 b\xE2\x82";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes, {})), bytes);
}

TEST(ByteLevelBpe, BytesThatTheVocabularyLacksAreLeftOut) {
  auto description = test::byte_level_description("gpt-2", {"a b"});
  StringArray tokens;
  for (size_t i = 0; i < description.tokens.size(); ++i)
    tokens.push_back(i == 0xFF ? "unused" : description.tokens[i]);
  description.tokens = std::move(tokens);
  description.unknown = 256;
  const auto tokenizer = Tokenizer::create(std::move(description));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT(tokenizer->encode("a\xFF"
                                "b",
                                {}),
              ElementsAre('a', 'b'));  // "ab" was not there
}

// Quadratic time would run into the test's limit here.
TEST(ByteLevelBpe, LongRunsTakeLinearTime) {
  for (const char* pre : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) {
    const Tokenizer tokenizer = make(pre, test::some_merges());
    for (const char* unit : {"a", " ", "\n", "1", "!", "\xFF", "é", "'s", " \n", "\t", "<|"}) {
      std::string text;
      while (text.size() < 1 << 18) text += unit;
      text += "x";
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {})), text) << pre << " " << unit;
    }
  }
}

TEST(ByteLevelBpe, AMegabyteOfOneCharacter) {
  const Tokenizer tokenizer = make("smollm", test::some_merges());
  for (const char unit : {'a', ' '}) {
    const std::string text(1 << 20, unit);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {})), text) << unit;
  }
}

TEST(ByteLevelBpe, RefusesMergesThatNameNoTokens) {
  auto unknown_part = test::byte_level_description("gpt-2", {"a b"});
  unknown_part.merges.push_back("ab zz");
  auto made = Tokenizer::create(std::move(unknown_part));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(made.error().message, HasSubstr("merge 1 is 'ab zz', but 'zz'"));
  for (const char* merge : {"", " ", "ab", "a ", "  "}) {
    auto description = test::byte_level_description("gpt-2", {});
    description.merges.push_back(merge);
    EXPECT_FALSE(Tokenizer::create(std::move(description))) << merge;
  }
}

TEST(ByteLevelBpe, RefusesAPatternThatCannotBeRead) {
  auto description = test::byte_level_description("gpt-2", {});
  description.splits.push_back({.pattern = "(a"});
  const auto made = Tokenizer::create(std::move(description));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(made.error().message, HasSubstr("the pattern '(a' cannot be used"));
}

}  // namespace
}  // namespace spillway::formats
