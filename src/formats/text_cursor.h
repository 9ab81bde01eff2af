// Where a parser stands in a text, which must outlive it. For parsers to build on. One thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace spillway::formats {

class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) {}

 protected:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace spillway::formats
