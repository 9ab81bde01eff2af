// How byte-level BPE cuts text into words as tokenizer.json spells it, by the names that GGUF has
// for it: for going from one kind of file to the other. Functions; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::formats {

struct SpelledCut {
  std::string_view name;        // tokenizer.ggml.pre
  const char* words = nullptr;  // a pattern; null: GPT-2's, which ByteLevel has built in
  bool single_digits = false;
  bool nfc = false;  // text is composed first
  bool whole_words_first = false;

  nlohmann::ordered_json pre_tokenizer() const;
};

// kBadFile: the name is not known.
Result<SpelledCut> find_spelled_cut(std::string_view name);
// The first of those that cut alike is the one that is written.
std::span<const SpelledCut> spelled_cuts();
std::string spelled_cut_names();  // for messages

}  // namespace spillway::formats
