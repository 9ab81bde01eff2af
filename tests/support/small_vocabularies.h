// Vocabularies small enough to follow by hand, with all 256 bytes: for tests and fuzzing. Values.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/tokenizer.h"
#include "formats/tokenizer_patterns.h"

namespace spillway::test {

// How byte-level BPE spells a byte (GPT-2's bytes_to_unicode), written here a second time.
inline std::string spelled_byte(int byte) {
  static const std::vector<int> code_points = [] {
    std::vector<int> all(256);
    int moved = 256;
    for (int b = 0; b < 256; ++b) {
      const bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      all[static_cast<size_t>(b)] = prints ? b : moved++;
    }
    return all;
  }();
  const int code_point = code_points[static_cast<size_t>(byte)];
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// Ids: the bytes 0 to 255; 256 "<|end|>" and 257 "<|end|>x" (control), 258 "<tool>" (user-defined),
// then one token per merge.
inline formats::TokenizerDescription byte_level_description(
    std::string_view pre, const std::vector<std::string>& merges) {
  formats::TokenizerDescription d;
  d.model = "gpt2";
  formats::NamedCut cut = formats::find_named_cut(pre).value();
  d.splits = std::move(cut.steps);
  d.whole_words_first = cut.whole_words_first;
  const auto add = [&](std::string_view text, formats::TokenType type) {
    d.tokens.push_back(text);
    d.types.push_back(static_cast<int64_t>(type));
  };
  for (int byte = 0; byte < 256; ++byte) add(spelled_byte(byte), formats::TokenType::kNormal);
  add("<|end|>", formats::TokenType::kControl);
  add("<|end|>x", formats::TokenType::kControl);
  add("<tool>", formats::TokenType::kUserDefined);
  for (const std::string& merge : merges) {
    d.merges.push_back(merge);
    const size_t space = merge.find(' ');
    add(merge.substr(0, space) + merge.substr(space + 1), formats::TokenType::kNormal);
  }
  d.bos = d.eos = 256;
  return d;
}

// Ids: 0 "<unk>", 1 "<s>", 2 "</s>", 3 to 258 the bytes, then the pieces, each of which scores
// worse than the one before.
inline formats::TokenizerDescription sentencepiece_description(
    const std::vector<std::string>& pieces) {
  formats::TokenizerDescription d;
  d.model = "llama";
  const auto add = [&](std::string_view text, formats::TokenType type, float score) {
    d.tokens.push_back(text);
    d.types.push_back(static_cast<int64_t>(type));
    d.scores.push_back(score);
  };
  add("<unk>", formats::TokenType::kUnknown, 0);
  add("<s>", formats::TokenType::kControl, 0);
  add("</s>", formats::TokenType::kControl, 0);
  for (int byte = 0; byte < 256; ++byte)
    add(fmt::format("<0x{:02X}>", byte), formats::TokenType::kByte, 0);
  float score = -1;
  for (const std::string& piece : pieces) add(piece, formats::TokenType::kNormal, score--);
  d.unknown = 0;
  d.bos = 1;
  d.eos = 2;
  d.add_bos = true;
  return d;
}

// Merges and pieces that meet in every way: of words, spaces, digits, bytes of one character, and
// long runs of one letter.
inline std::vector<std::string> some_merges() {
  return {"h e",   "l l",       "he ll", "hell o", "Ġ hello", "Ġ Ġ",  "ĠĠ ĠĠ", "a a",
          "aa aa", "aaaa aaaa", "1 2",   "Ã ©",    "ð Ł",     "ðŁ ĺ", "Ċ Ċ",   "' s"};
}

inline std::vector<std::string> some_pieces() {
  return {"▁▁", "▁▁▁▁", "he", "ll", "hell", "hello", "▁hello", "aa", "aaaa", "é",
          "▁",  "h",    "e",  "l",  "o",    "a",     "\n",     "</", "s>"};
}

}  // namespace spillway::test
