// Asks a grammar about whole texts. Functions; one thread.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "formats/grammar.h"
#include "formats/grammar_matcher.h"

namespace spillway::formats {

inline bool accepts(GrammarMatcher& matcher, std::string_view text) {
  return matcher.complete(matcher.advance(matcher.start(), text));
}

inline bool accepts(const Grammar& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  return accepts(matcher, text);
}

using Texts = std::vector<std::string>;

inline void expect_texts(const Grammar& grammar, const std::string& source, const Texts& good,
                         const Texts& bad) {
  for (const std::string& text : good)
    EXPECT_TRUE(accepts(grammar, text)) << source << ": " << text;
  for (const std::string& text : bad)
    EXPECT_FALSE(accepts(grammar, text)) << source << ": " << text;
}

// A text of the grammar, byte by byte, with dice; it ends where it may once it is long. Empty where
// it came to no end.
inline std::string random_text(const Grammar& grammar, std::mt19937& random, size_t long_bytes) {
  GrammarMatcher matcher(grammar);
  GrammarMatcher::State state = matcher.start();
  std::string text;
  while (text.size() < 50 * long_bytes) {
    if (matcher.complete(state) &&
        (matcher.finished(state) || text.size() >= long_bytes || random() % 8 == 0))
      return text;
    std::string next;
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (matcher.advance(state, static_cast<uint8_t>(byte)) != GrammarMatcher::kDead)
        next += static_cast<char>(byte);
    }
    if (next.empty()) return {};
    // What closes is likelier once the text is long.
    const size_t closing = next.find_first_of("\"}]0");
    const bool close = text.size() >= long_bytes && closing != std::string::npos;
    text += next[close && random() % 2 == 0 ? closing : random() % next.size()];
    state = matcher.advance(state, static_cast<uint8_t>(text.back()));
  }
  return {};
}

}  // namespace spillway::formats
