// The text of an answer as its tokens come: whole characters only, and nothing of a stop string.
// One thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/tokenizer.h"

namespace spillway::engine {

// What `id` adds to a text that ends with `before`. Behind a control token a space that is the
// tokenizer's, not the text's, is left out.
std::string text_after(const formats::Tokenizer& tokenizer, formats::TokenId before,
                       formats::TokenId id);

// Finds the first of some strings in a text that comes in pieces.
class StopStrings {
 public:
  // Empty strings are never found.
  explicit StopStrings(std::vector<std::string> strings);
  // Text that surely lies before every stop string. Nothing more comes once one was found.
  std::string push(std::string_view text);
  bool found() const { return found_; }
  // What was held back and is no stop string after all.
  std::string finish();

 private:
  std::vector<std::string> strings_;
  std::string held_;  // the beginning of a stop string, perhaps
  bool found_ = false;
};

class AnswerText {
 public:
  // `before` is the prompt's last token. The tokenizer outlives the object.
  AnswerText(const formats::Tokenizer& tokenizer, formats::TokenId before,
             std::vector<std::string> stop);
  // The text that is certain now.
  std::string push(formats::TokenId id);
  bool stopped() const { return stop_.found(); }  // at a stop string
  std::string finish();

 private:
  const formats::Tokenizer& tokenizer_;
  formats::TokenId before_;
  formats::StreamDecoder decoder_;
  StopStrings stop_;
};

}  // namespace spillway::engine
