// What happens to text before it is merged into tokens, as data: how it is changed and how it is
// cut. Values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::formats {

// One change of a text.
struct TextStep {
  enum class Kind {
    kReplace,         // every `from` becomes `to`
    kPrepend,         // `to` goes in front, unless the text is empty
    kPrependOnce,     // the same, unless the text begins with it
    kPrependAtStart,  // the same, and only where the whole text begins
    kNfc,             // Unicode's normalisation forms
    kNfd,
    kNfkc,
    kNfkd
  };
  Kind kind = Kind::kReplace;
  std::string from = {};  // not empty
  std::string to = {};
};

// What becomes of the matches of a pattern and of the text between them.
enum class SplitBehavior {
  kIsolated,            // each match is a piece
  kRemoved,             // matches are dropped
  kContiguous,          // matches in a row are one piece
  kMergedWithPrevious,  // a match ends the piece before it
  kMergedWithNext       // a match begins the piece behind it
};

// One cut of every piece that the steps before it left.
struct SplitStep {
  std::string pattern;  // as tokenizer.json spells it (tokenizer_regex.h)
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // what the pattern does not match counts as its matches
};

// How a special token is found in text, where it is not just its own text. Named as in
// tokenizer.json.
struct AddedTokenRule {
  int32_t id = 0;
  bool lstrip = false;       // takes the white space in front of it along
  bool rstrip = false;       // and behind it
  bool single_word = false;  // does not touch a letter or digit
  bool normalized = false;   // looked for in the text as TextSteps change it
};

}  // namespace spillway::formats
