// Cuts text into the words that BPE merges within, by patterns that go with the vocabulary. A
// PreTokenizer is immutable and thread-safe; cursors belong to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/tokenizer_steps.h"

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;

namespace spillway::formats {

struct Pcre2CodeFree {
  void operator()(pcre2_real_code_8* code) const;
};
struct Pcre2LimitsFree {
  void operator()(pcre2_real_match_context_8* limits) const;
};
struct Pcre2MatchFree {
  void operator()(pcre2_real_match_data_8* data) const;
};

class PreTokenizer {
 public:
  // kBadFile: a pattern that cannot be read. Without steps, text is one word.
  static Result<PreTokenizer> create(const std::vector<SplitStep>& steps);
  size_t memory_bytes() const;

 private:
  friend class SplitCursor;
  friend class WordCursor;
  struct Split {
    std::unique_ptr<pcre2_real_code_8, Pcre2CodeFree> code;
    SplitBehavior behavior;
    bool invert;
  };
  std::vector<Split> splits_;
};

// Walks over the pieces that one step makes of a text, from left to right.
class SplitCursor {
 public:
  explicit SplitCursor(const PreTokenizer::Split& split);
  void restart(std::string_view text);  // of whole characters
  // The next piece, never empty before the end and empty there.
  std::string_view next();

 private:
  struct Part {
    size_t begin, end;
    bool is_match;
  };
  std::optional<Part> next_part();
  std::optional<Part> take_part();
  void find_match();
  int match(size_t begin, uint32_t options);
  bool absorbs(const Part& part, const Part& following) const;

  const PreTokenizer::Split& split_;
  std::string_view text_;
  size_t position_ = 0;                     // of the next part
  size_t match_begin_ = 0, match_end_ = 0;  // not before `position_`; at the end: none is left
  bool gave_up_ = false;
  std::optional<Part> ahead_;  // taken, and not given out
  std::unique_ptr<pcre2_real_match_context_8, Pcre2LimitsFree> limits_;
  std::unique_ptr<pcre2_real_match_data_8, Pcre2MatchFree> match_data_;
};

// Walks over all words of a text. Each run of bytes that are not UTF-8 is a word, and what lies
// between two runs is cut as if it stood alone.
class WordCursor {
 public:
  WordCursor(const PreTokenizer& pre_tokenizer, std::string_view text);
  // The next word, never empty before the end and empty there.
  std::string_view next();

 private:
  std::string_view next_in_run();

  std::string_view rest_;  // not cut yet
  std::vector<SplitCursor> cursors_;
  size_t level_ = 0;  // the cursor that is asked next; those below it have pieces left
  bool in_run_ = false;
};

}  // namespace spillway::formats
