// See tokenizer_pretokenizer.h.
//
// The patterns cover every character, so a match is anchored where the last one ended and cannot
// fail; quantifiers that need not give back are possessive, so that a run of any length is read
// once. Sources: the models' tokenizer.json (pre_tokenizer).
#define PCRE2_CODE_UNIT_WIDTH 8
#include "formats/tokenizer_pretokenizer.h"

#include <pcre2.h>

#include <array>
#include <string>

#include "base/check.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

// Unicode's White_Space. PCRE2's own \s has U+180E too, which the models' libraries have not.
#define SPACES \
  R"(\x{9}-\x{D} \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"
#define SPACE "[" SPACES "]"
#define NO_SPACE "[^" SPACES "]"
#define SYMBOL "[^" SPACES R"(\p{L}\p{N}])"
#define ANY_CASE_CONTRACTION "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define CONTRACTION "'(?:[stmd]|re|ve|ll)"

constexpr const char* kGpt2 =
    CONTRACTION R"(| ?\p{L}++| ?\p{N}++| ?)" SYMBOL "++|" SPACE "+(?!" NO_SPACE ")|" SPACE "+";

// GPT-2's after each digit was cut out: spaces before a digit stand at the end of their text.
constexpr const char* kSmollm = R"(\p{N}|)" CONTRACTION R"(| ?\p{L}++| ?)" SYMBOL "++|" SPACE
                                "+(?![^" SPACES R"(\p{N}])|)" SPACE "+";

#define LETTERS_OR_CONTRACTION ANY_CASE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}++|)"
#define SYMBOLS_OR_SPACES \
  "| ?" SYMBOL R"(++[\r\n]*+|)" SPACE R"(*[\r\n]++|)" SPACE "+(?!" NO_SPACE ")|" SPACE "+"

constexpr const char* kLlama3 = LETTERS_OR_CONTRACTION R"(\p{N}{1,3}+)" SYMBOLS_OR_SPACES;
constexpr const char* kQwen2 = LETTERS_OR_CONTRACTION R"(\p{N})" SYMBOLS_OR_SPACES;

struct Family {
  std::string_view name;
  const char* pattern;
  bool whole_words_first;
};

constexpr std::array kFamilies = {
    Family{"smollm", kSmollm, false}, Family{"starcoder", kSmollm, false},
    Family{"gpt-2", kGpt2, false},    Family{"llama-bpe", kLlama3, true},
    Family{"llama3", kLlama3, true},  Family{"llama-v3", kLlama3, true},
    Family{"qwen2", kQwen2, false},   Family{"deepseek-r1-qwen", kQwen2, false},
};

Result<Family> find_family(std::string_view name) {
  std::string names;
  for (const Family& family : kFamilies) {
    if (family.name == name) return family;
    if (!names.empty()) names += ", ";
    names += family.name;
  }
  return fail(ErrorCode::kBadFile,
              "the pre-tokenizer (tokenizer.ggml.pre) is '{}', which is not supported; supported "
              "are {}",
              name, names);
}

}  // namespace

void Pcre2CodeFree::operator()(pcre2_real_code_8* code) const {
  pcre2_code_free(code);
}
void Pcre2LimitsFree::operator()(pcre2_real_match_context_8* limits) const {
  pcre2_match_context_free(limits);
}
void Pcre2MatchFree::operator()(pcre2_real_match_data_8* data) const {
  pcre2_match_data_free(data);
}

Result<void> check_pre_tokenizer(std::string_view name) {
  SPILLWAY_TRY(find_family(name));
  return {};
}

Result<PreTokenizer> PreTokenizer::create(std::string_view name) {
  SPILLWAY_ASSIGN(const Family family, find_family(name));
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  PreTokenizer made;
  made.whole_words_first_ = family.whole_words_first;
  made.code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(family.pattern),
                                 PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED,
                                 &error, &error_offset, nullptr));
  SPILLWAY_CHECK(made.code_ != nullptr);
  // Where the machine forbids code made at run time the interpreter does the same, slower.
  pcre2_jit_compile(made.code_.get(), PCRE2_JIT_COMPLETE);
  // The interpreter counts steps back, of which a run of spaces makes as many as it is long.
  made.limits_.reset(pcre2_match_context_create(nullptr));
  SPILLWAY_CHECK(made.limits_ != nullptr);
  pcre2_set_match_limit(made.limits_.get(), UINT32_MAX);
  return made;
}

size_t PreTokenizer::memory_bytes() const {
  size_t pattern = 0;
  size_t jit = 0;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_SIZE, &pattern);
  pcre2_pattern_info(code_.get(), PCRE2_INFO_JITSIZE, &jit);
  return pattern + jit;
}

WordCursor::WordCursor(const PreTokenizer& pre_tokenizer, std::string_view text)
    : pre_tokenizer_(pre_tokenizer), rest_(text), match_data_(pcre2_match_data_create(1, nullptr)) {
  SPILLWAY_CHECK(match_data_ != nullptr);
}

std::string_view WordCursor::next() {
  if (run_position_ == run_.size()) {
    rest_.remove_prefix(run_.size());
    run_ = rest_.substr(0, utf8_run(rest_, true));
    run_position_ = 0;
    if (run_.empty()) {
      const std::string_view word = rest_.substr(0, utf8_run(rest_, false));
      rest_.remove_prefix(word.size());
      return word;
    }
  }
  const size_t begin = run_position_;
  run_position_ = match(run_, begin);
  return run_.substr(begin, run_position_ - begin);
}

size_t WordCursor::match(std::string_view run, size_t begin) const {
  const int groups =
      pcre2_match(pre_tokenizer_.code_.get(), reinterpret_cast<PCRE2_SPTR>(run.data()), run.size(),
                  begin, PCRE2_NO_UTF_CHECK, match_data_.get(), pre_tokenizer_.limits_.get());
  // It covers every character and has no limit to run into, so that it matches; were it not to, a
  // character by itself would still be encoded.
  const size_t end = groups > 0 ? pcre2_get_ovector_pointer(match_data_.get())[1] : begin;
  return end > begin ? end : begin + first_utf8(run.substr(begin)).size;
}

}  // namespace spillway::formats
