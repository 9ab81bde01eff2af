#include "engine/answer_text.h"

#include <algorithm>
#include <utility>

namespace spillway::engine {
namespace {

// The longest end of `text` that a string begins with, and that is not the whole string.
size_t begun_bytes(std::string_view text, std::string_view string) {
  size_t size = std::min(text.size(), string.empty() ? 0 : string.size() - 1);
  while (size > 0 && !text.ends_with(string.substr(0, size))) --size;
  return size;
}

}  // namespace

std::string text_after(const formats::Tokenizer& tokenizer, formats::TokenId before,
                       formats::TokenId id) {
  const bool begins = tokenizer.type(before) == formats::TokenType::kControl;
  return begins ? tokenizer.decode({before, id}) : tokenizer.piece(id);
}

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {}

std::string StopStrings::push(std::string_view text) {
  if (found_) return {};
  held_ += text;
  size_t end = held_.size();  // of what is certain
  for (const std::string& string : strings_) {
    const size_t at = string.empty() ? std::string::npos : held_.find(string);
    found_ = found_ || at != std::string::npos;
    end = std::min(end, at);
  }
  if (!found_) {
    for (const std::string& string : strings_)
      end = std::min(end, held_.size() - begun_bytes(held_, string));
  }
  std::string certain = held_.substr(0, end);
  held_.erase(0, found_ ? held_.size() : end);
  return certain;
}

std::string StopStrings::finish() {
  return std::exchange(held_, {});
}

AnswerText::AnswerText(const formats::Tokenizer& tokenizer, formats::TokenId before,
                       std::vector<std::string> stop)
    : tokenizer_(tokenizer), before_(before), stop_(std::move(stop)) {}

std::string AnswerText::push(formats::TokenId id) {
  const std::string text = decoder_.push(text_after(tokenizer_, before_, id));
  before_ = id;
  return stop_.push(text);
}

std::string AnswerText::finish() {
  return stop_.push(decoder_.finish()) + stop_.finish();
}

}  // namespace spillway::engine
