// GBNF: what it accepts, against std::regex where both can say it, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "texts.h"

namespace spillway::formats {
namespace {

using ::testing::HasSubstr;

Grammar parsed(const std::string& text) {
  auto grammar = Grammar::parse_gbnf(text);
  EXPECT_TRUE(grammar.has_value()) << text << ": " << grammar.error().message;
  return grammar ? *std::move(grammar) : Grammar();
}

void expect_gbnf(const std::string& grammar, const Texts& good, const Texts& bad) {
  expect_texts(parsed(grammar), grammar, good, bad);
}

TEST(Gbnf, LiteralsAlternativesGroups) {
  expect_gbnf("root ::= \"ab\" | \"c\" (\"d\" | \"e\") \"f\"", {"ab", "cdf", "cef"},
              {"", "a", "abc", "cf", "cdef"});
  expect_gbnf("root ::= \"\"", {""}, {"a"});
  expect_gbnf("root ::=", {""}, {"a"});
}

TEST(Gbnf, Repetitions) {
  expect_gbnf("root ::= \"a\"*", {"", "a", "aaaa"}, {"b", "ab"});
  expect_gbnf("root ::= \"a\"+ \"b\"?", {"a", "ab", "aaab"}, {"", "b", "abb"});
  expect_gbnf("root ::= \"ab\"{2}", {"abab"}, {"", "ab", "ababab", "aba"});
  expect_gbnf("root ::= \"a\"{2,}", {"aa", "aaaaa"}, {"", "a"});
  expect_gbnf("root ::= \"a\"{1,3}", {"a", "aa", "aaa"}, {"", "aaaa"});
  expect_gbnf("root ::= \"a\"{0} \"b\"{0,0} \"c\"", {"c"}, {"ac", "bc"});
  expect_gbnf("root ::= (\"a\"* \"b\"*)* \"c\"", {"c", "abbac", "bc"}, {"", "ab"});
}

TEST(Gbnf, ClassesAndEscapes) {
  expect_gbnf("root ::= [a-cx] [^a-c] [-a] [a-]", {"adaa", "xé--", "b\n-a"},
              {"daaa", "abaa", "adba"});
  expect_gbnf(R"(root ::= "\x41\u00e9\U0001F600\t\n\r\\\"" [\]\[\-] [\x30-\x39])",
              {"Aé😀\t\n\r\\\"]7", "Aé😀\t\n\r\\\"-0"}, {"Aé😀\t\n\r\\\"x7"});
  expect_gbnf("root ::= . .", {"ab", "éa", "😀\n"}, {"a", "abc", "\xC3\xA9", "\xFF"});
  expect_gbnf("root ::= [à-üα-ω]+", {"éαω", "ü"}, {"e", "ý", "\xC3", ""});
  expect_gbnf("root ::= [^\\x00-\\x7F]", {"é", "😀", "\u0800", "\uFFFF"},
              {"a", "\xED\xA0\x80", "\xC0\x80"});
}

TEST(Gbnf, RulesCommentsAndLines) {
  expect_gbnf(
      "# a list\nroot  ::= item (\",\" # more\n   item)*   # end\n\nitem ::= [0-9] |\n  \"x\"\n",
      {"1", "x,2,x"}, {"", "1,", ",1"});
  expect_gbnf("root ::= a-b\r\na-b ::= \"(\" a-b? \")\"\r\n", {"()", "((()))"}, {"", "(", "(()"});
  const std::string deep(2000, '(');
  EXPECT_TRUE(accepts(parsed("root ::= \"(\" root? \")\""), deep + std::string(2000, ')')));
}

TEST(Gbnf, RecursionAtTheEndAndNullableLoops) {
  expect_gbnf("root ::= \"a\" root | \"b\"", {"b", "aaab"}, {"a", "ba"});
  expect_gbnf("root ::= ws \"x\"\nws ::= | \" \" ws", {"x", "   x"}, {" "});
  expect_gbnf("root ::= ((\"a\"?)*)* \"b\"", {"b", "aab"}, {"a"});
}

TEST(Gbnf, WhatNeverEndsIsNotBegun) {
  expect_gbnf("root ::= \"a\" | \"b\" x | [] y?\nx ::= \"c\" x\ny ::= \"d\"", {"a"}, {"b", "d"});
  const Grammar grammar = parsed("root ::= \"a\" | \"b\" x\nx ::= \"c\" x");
  GrammarMatcher matcher(grammar);
  EXPECT_EQ(matcher.advance(matcher.start(), 'b'), GrammarMatcher::kDead);
  EXPECT_THAT(Grammar::parse_gbnf("root ::= \"c\" root").error().message, HasSubstr("no text"));
}

TEST(Gbnf, LeftRecursionIsRefused) {
  for (const char* text :
       {"root ::= root \"a\" | \"b\"", "root ::= \"x\"? root \"a\"",
        "root ::= a \"x\"\na ::= b \"y\"\nb ::= a? \"z\" | a \"q\"", "root ::= (root)* \"a\""}) {
    const auto grammar = Grammar::parse_gbnf(text);
    ASSERT_FALSE(grammar.has_value()) << text;
    EXPECT_THAT(grammar.error().message, HasSubstr("left recursion"));
  }
}

TEST(Gbnf, WhatCannotBeReadIsRefusedWithItsLine) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "no rule 'root'"},
      {"start ::= \"a\"", "no rule 'root'"},
      {"root ::= nothing", "no rule 'nothing'"},
      {"root ::= \"a\"\nroot ::= \"b\"", "two rules 'root'"},
      {"root = \"a\"", "line 1: '::=' is expected"},
      {"root ::= \"a\"\n\nx ::= [a", "line 3: ']' is missing"},
      {"root ::= \"a", "'\"' is missing"},
      {"root ::= (\"a\"", "')' is expected, not the end"},
      {"root ::= \"a\")", "the end of the rule"},
      {"root ::= [z-a]", "ends before it begins"},
      {"root ::= \"\\q\"", "no escape \\q"},
      {"root ::= \"\\u12\"", "4 hexadecimal digits"},
      {"root ::= \"\\U00110000\"", "no character"},
      {"root ::= \"\\ud800\"", "no character"},
      {"root ::= \"\xFF\"", "not UTF-8"},
      {"root ::= \"a\"{3,1}", "at least 3, but at most 1"},
      {"root ::= \"a\"{}", "a number is expected"},
      {"root ::= \"a\"{99999999}", "more than"},
      {"root ::= (\"a\"{1000}){1000} b\nb ::= (\"abc\"{0,9000}){0,9000}", "more than"},
      {"root ::= \"a\"*****", "repetitions of one item"},
      {"root ::= <think>", "not supported"},
  };
  for (const auto& [text, message] : wrong) {
    const auto grammar = Grammar::parse_gbnf(text);
    ASSERT_FALSE(grammar.has_value()) << text;
    EXPECT_EQ(grammar.error().code, ErrorCode::kUsage);
    EXPECT_THAT(grammar.error().message, HasSubstr(message)) << text;
  }
  const std::string nested = "root ::= " + std::string(100000, '(');
  EXPECT_FALSE(Grammar::parse_gbnf(nested).has_value());
}

// Random expressions that GBNF and ECMAScript write alike, but for the quotes.
struct Written {
  std::string gbnf;
  std::string regex;
};

Written random_expression(std::mt19937& random, int depth) {
  const auto kind = depth == 0 ? random() % 2 : random() % 6;
  if (kind == 0) {
    const std::string letter(1, static_cast<char>('a' + random() % 3));
    return {"\"" + letter + "\" ", letter};
  }
  if (kind == 1) {
    const char* classes[] = {"[ab]", "[^a]", "[b-c]"};
    const std::string text = classes[random() % 3];
    return {text + " ", text};
  }
  const Written a = random_expression(random, depth - 1);
  const Written b = random_expression(random, depth - 1);
  if (kind == 2) return {a.gbnf + b.gbnf, a.regex + b.regex};
  if (kind == 3)
    return {"(" + a.gbnf + "| " + b.gbnf + ") ", "(?:" + a.regex + "|" + b.regex + ")"};
  const char* counts[] = {"*", "+", "?", "{2}", "{1,2}", "{0,3}", "{1,}"};
  const std::string count = counts[random() % 7];
  return {"(" + a.gbnf + ")" + count + " ", "(?:" + a.regex + ")" + count};
}

TEST(Gbnf, AgreesWithRegularExpressions) {
  std::mt19937 random(1);
  std::vector<std::string> texts = {""};
  for (size_t i = 0; texts[i].size() < 5; ++i) {
    for (const char c : {'a', 'b', 'c'}) texts.push_back(texts[i] + c);
  }
  for (int round = 0; round < 50; ++round) {
    const Written written = random_expression(random, 4);
    const Grammar grammar = parsed("root ::= " + written.gbnf);
    GrammarMatcher matcher(grammar);
    // In time that is polynomial: nested repetitions would take for ever.
    const std::regex regex(written.regex,
                           std::regex::ECMAScript | std::regex_constants::__polynomial);
    for (const std::string& text : texts) {
      ASSERT_EQ(accepts(matcher, text), std::regex_match(text, regex))
          << written.gbnf << " / " << written.regex << ": '" << text << "'";
    }
  }
}

TEST(GrammarMatcher, TooManyWaysToReadATextCountAsNone) {
  // 2ⁿ ways after n letters.
  const Grammar grammar = parsed("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\"");
  EXPECT_TRUE(accepts(grammar, "aaaabcb"));
  EXPECT_FALSE(accepts(grammar, std::string(40, 'a')));
}

TEST(GrammarMatcher, TrimKeepsWhatIsLive) {
  // Every way to nest two kinds of brackets is a state of its own: there are soon too many to keep.
  const Grammar grammar = parsed("root ::= (\"(\" root \")\" | \"[\" root \"]\")*");
  GrammarMatcher matcher(grammar);
  std::mt19937 random(1);
  std::vector<GrammarMatcher::State> live = {matcher.start(), matcher.start()};
  std::string open;  // what closes the brackets of live[0], the last first
  for (int i = 0; i < 60000; ++i) {
    const bool opens = open.empty() || (open.size() < 40 && random() % 2 == 0);
    const bool round = random() % 2 == 0;
    const char next = opens ? (round ? '(' : '[') : open.back();
    if (opens) {
      open.push_back(round ? ')' : ']');
    } else {
      open.pop_back();
    }
    const GrammarMatcher::State wrong =
        matcher.advance(live[0], static_cast<uint8_t>(opens ? '!' : (next == ')' ? ']' : ')')));
    ASSERT_EQ(wrong, GrammarMatcher::kDead);
    live[0] = matcher.advance(live[0], static_cast<uint8_t>(next));
    ASSERT_NE(live[0], GrammarMatcher::kDead) << i;
    matcher.trim(live);
    ASSERT_EQ(matcher.complete(live[0]), open.empty());
  }
  EXPECT_TRUE(matcher.complete(live[1])) << "the other one that lived: the empty text";
  EXPECT_EQ(live[1], matcher.start());
}

}  // namespace
}  // namespace spillway::formats
