// Stop strings in texts that come in pieces, against a search in the whole text.
#include <gtest/gtest.h>

#include <random>

#include "engine/answer_text.h"

namespace spillway::engine {
namespace {

// What is printed of a text that comes in pieces of these sizes.
std::string printed(const std::string& text, const std::vector<std::string>& stop, size_t piece) {
  StopStrings strings(stop);
  std::string out;
  for (size_t at = 0; at < text.size() && !strings.found(); at += piece)
    out += strings.push(std::string_view(text).substr(at, piece));
  return out + strings.finish();
}

TEST(StopStrings, EndTheTextWhereverThePiecesAreCut) {
  for (size_t piece = 1; piece < 12; ++piece) {
    EXPECT_EQ(printed("one END two", {"END"}, piece), "one ");
    EXPECT_EQ(printed("one EN two", {"END"}, piece), "one EN two");
    EXPECT_EQ(printed("one EN", {"END"}, piece), "one EN") << "held back, but no stop string";
    EXPECT_EQ(printed("END", {"END"}, piece), "");
    EXPECT_EQ(printed("aaab", {"aab"}, piece), "a") << "begins twice";
    EXPECT_EQ(printed("abc", {}, piece), "abc");
    EXPECT_EQ(printed("abc", {""}, piece), "abc");
  }
}

TEST(StopStrings, NothingComesBehindOne) {
  StopStrings strings({"\n"});
  EXPECT_EQ(strings.push("a\nb"), "a");
  EXPECT_TRUE(strings.found());
  EXPECT_EQ(strings.push("c"), "");
  EXPECT_EQ(strings.finish(), "");
}

TEST(StopStrings, WhatIsHeldBackIsAtMostABeginning) {
  StopStrings strings({"<|end|>"});
  EXPECT_EQ(strings.push("a <|e"), "a ");
  EXPECT_EQ(strings.push("x"), "<|ex");
}

// Character by character, the first string that is complete ends the text where it begins; with
// several, any that is complete in the same piece may, the earliest first.
TEST(StopStrings, OneCharacterAtATimeTheFirstThatIsCompleteEnds) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto word = [&](size_t longest) {
    std::string text;
    for (size_t left = 1 + random() % longest; left > 0; --left)
      text += static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    const std::string text = word(20);
    const std::vector<std::string> stop = {word(4), word(5)};
    std::string expected = text;
    for (size_t end = 1; end <= text.size() && expected == text; ++end) {
      size_t begin = std::string::npos;
      for (const std::string& s : stop) begin = std::min(begin, text.substr(0, end).find(s));
      if (begin != std::string::npos) expected = text.substr(0, begin);
    }
    ASSERT_EQ(printed(text, stop, 1), expected) << text << " " << stop[0] << " " << stop[1];
  }
}

}  // namespace
}  // namespace spillway::engine
