// Carries out TextSteps, and says what Unicode calls white space and words. Immutable; const
// members and functions are thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/tokenizer_steps.h"

namespace spillway::formats {

class TextSteps {
 public:
  TextSteps() = default;
  explicit TextSteps(std::vector<TextStep> steps) : steps_(std::move(steps)) {}
  bool empty() const { return steps_.empty(); }
  // Any bytes; those that are not UTF-8 stay as they are. `at_start`: nothing of the whole text
  // lies in front.
  std::string apply(std::string_view text, bool at_start) const;
  size_t memory_bytes() const;

 private:
  std::vector<TextStep> steps_;
};

// Unicode's White_Space.
bool is_white_space(uint32_t code_point);
// Letters, marks, digits and what joins them: what regular expressions call \w.
bool is_word_character(uint32_t code_point);

// Bytes of white space at the front of `text`, and at its end.
size_t leading_white_space(std::string_view text);
size_t trailing_white_space(std::string_view text);
bool begins_with_word(std::string_view text);
bool ends_with_word(std::string_view text);

}  // namespace spillway::formats
