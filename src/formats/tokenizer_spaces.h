// SentencePiece's spelling of spaces, U+2581, and the words between them. Functions; any thread.
#pragma once

#include <string_view>

namespace spillway::formats {

inline constexpr std::string_view kSpelledSpace = "\xE2\x96\x81";

// Bytes of the space, spelled or not, that `text` begins with; 0 where it begins with none.
inline size_t leading_space(std::string_view text) {
  if (text.starts_with(' ')) return 1;
  return text.starts_with(kSpelledSpace) ? kSpelledSpace.size() : 0;
}

// Bytes of the first word: spaces and what follows up to the next space.
inline size_t first_word_size(std::string_view text) {
  size_t size = 0;
  bool inside = false;
  while (size < text.size()) {
    const size_t space = leading_space(text.substr(size));
    if (space > 0 && inside) break;
    inside = space == 0;
    size += inside ? 1 : space;
  }
  return size;
}

// A space after another character: where such a token exists, merges cross words. Where none does,
// text can be merged word by word: less memory, the same ids.
inline bool has_inner_space(std::string_view token_text) {
  return first_word_size(token_text) < token_text.size();
}

}  // namespace spillway::formats
