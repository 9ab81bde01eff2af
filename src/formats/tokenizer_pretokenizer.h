// Cuts text into the words that byte-level BPE merges within, by a pattern that goes with the
// vocabulary. A PreTokenizer is immutable and thread-safe; a WordCursor belongs to one thread.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"

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

// kBadFile: `name` (the file's tokenizer.ggml.pre) is none of those that we know.
Result<void> check_pre_tokenizer(std::string_view name);

class PreTokenizer {
 public:
  // As check_pre_tokenizer.
  static Result<PreTokenizer> create(std::string_view name);
  // A word that is a token is that token, whatever the merges say.
  bool whole_words_first() const { return whole_words_first_; }
  size_t memory_bytes() const;

 private:
  friend class WordCursor;
  std::unique_ptr<pcre2_real_code_8, Pcre2CodeFree> code_;
  std::unique_ptr<pcre2_real_match_context_8, Pcre2LimitsFree> limits_;
  bool whole_words_first_ = false;
};

// Walks over all words of a text, from left to right; together they are the text. Each run of bytes
// that are not UTF-8 is a word, and what lies between two runs is cut as if it stood alone.
class WordCursor {
 public:
  WordCursor(const PreTokenizer& pre_tokenizer, std::string_view text);
  // The next word, never empty before the end and empty there.
  std::string_view next();

 private:
  size_t match(std::string_view run, size_t begin) const;

  const PreTokenizer& pre_tokenizer_;
  std::string_view rest_;  // not cut yet
  std::string_view run_;   // whole characters at its front
  size_t run_position_ = 0;
  std::unique_ptr<pcre2_real_match_data_8, Pcre2MatchFree> match_data_;
};

}  // namespace spillway::formats
