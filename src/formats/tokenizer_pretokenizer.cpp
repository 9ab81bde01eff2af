// See tokenizer_pretokenizer.h. What the behaviours mean: the tokenizers package's
// NormalizedString::split.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "formats/tokenizer_pretokenizer.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "formats/tokenizer_regex.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

// Steps of one match: a run of spaces makes as many as it is long, patterns from a file may make
// any number. Real ones need a few dozen.
constexpr size_t kMatchSteps = 100'000;
constexpr size_t kMatchStepsPerByte = 64;
constexpr uint32_t kMatchMemoryKib = 64 << 10;

Result<pcre2_code*> compile(const std::string& pattern, std::string_view as_written) {
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  SPILLWAY_CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, context.get());
  if (code == nullptr) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(error, message.data(), message.size());
    return fail(ErrorCode::kBadFile, "the pattern '{}' cannot be used: {}", as_written,
                reinterpret_cast<const char*>(message.data()));
  }
  // Where the machine forbids code made at run time the interpreter does the same, slower.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return code;
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

Result<PreTokenizer> PreTokenizer::create(const std::vector<SplitStep>& steps) {
  PreTokenizer made;
  for (const SplitStep& step : steps) {
    SPILLWAY_ASSIGN(const std::string pattern, to_pcre2(step.pattern));
    Split split{.code = nullptr, .behavior = step.behavior, .invert = step.invert};
    SPILLWAY_ASSIGN(pcre2_code * code, compile(pattern, step.pattern));
    split.code.reset(code);
    made.splits_.push_back(std::move(split));
  }
  return made;
}

size_t PreTokenizer::memory_bytes() const {
  size_t bytes = splits_.capacity() * sizeof(Split);
  for (const Split& split : splits_) {
    size_t pattern = 0;
    size_t jit = 0;
    pcre2_pattern_info(split.code.get(), PCRE2_INFO_SIZE, &pattern);
    pcre2_pattern_info(split.code.get(), PCRE2_INFO_JITSIZE, &jit);
    bytes += pattern + jit;
  }
  return bytes;
}

SplitCursor::SplitCursor(const PreTokenizer::Split& split)
    : split_(split),
      limits_(pcre2_match_context_create(nullptr)),
      match_data_(pcre2_match_data_create(1, nullptr)) {
  SPILLWAY_CHECK(limits_ != nullptr && match_data_ != nullptr);
  pcre2_set_heap_limit(limits_.get(), kMatchMemoryKib);
}

void SplitCursor::restart(std::string_view text) {
  text_ = text;
  position_ = match_begin_ = match_end_ = 0;
  ahead_.reset();
  pcre2_set_match_limit(limits_.get(),
                        static_cast<uint32_t>(std::clamp<size_t>(text.size() * kMatchStepsPerByte,
                                                                 kMatchSteps, UINT32_MAX)));
  find_match();
}

int SplitCursor::match(size_t begin, uint32_t options) {
  return pcre2_match(split_.code.get(), reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(),
                     begin, PCRE2_NO_UTF_CHECK | options, match_data_.get(), limits_.get());
}

// The first match at or behind `position_` that is not empty. Where matching takes too long, what
// is left has none: it must not take too long again and again.
void SplitCursor::find_match() {
  for (size_t begin = position_; begin < text_.size() && !gave_up_;) {
    int groups = match(begin, 0);
    // Compiled code has a small stack; the interpreter takes memory instead.
    if (groups == PCRE2_ERROR_JIT_STACKLIMIT) groups = match(begin, PCRE2_NO_JIT);
    gave_up_ = groups < 0 && groups != PCRE2_ERROR_NOMATCH;
    if (groups <= 0) break;
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_data_.get());
    if (range[1] > range[0]) {
      match_begin_ = range[0];
      match_end_ = range[1];
      return;
    }
    if (range[1] >= text_.size()) break;
    begin = range[1] + first_utf8(text_.substr(range[1])).size;
  }
  match_begin_ = match_end_ = text_.size();
}

std::optional<SplitCursor::Part> SplitCursor::next_part() {
  if (position_ == text_.size()) return std::nullopt;
  const bool is_match = position_ == match_begin_;
  const Part part{position_, is_match ? match_end_ : match_begin_, is_match != split_.invert};
  position_ = part.end;
  if (is_match) find_match();
  return part;
}

std::optional<SplitCursor::Part> SplitCursor::take_part() {
  if (!ahead_) return next_part();
  const auto part = ahead_;
  ahead_.reset();
  return part;
}

bool SplitCursor::absorbs(const Part& part, const Part& following) const {
  switch (split_.behavior) {
    case SplitBehavior::kContiguous:
      return part.is_match == following.is_match;
    case SplitBehavior::kMergedWithPrevious:
      return !part.is_match && following.is_match;
    case SplitBehavior::kMergedWithNext:
      return part.is_match && !following.is_match;
    default:
      return false;
  }
}

std::string_view SplitCursor::next() {
  auto part = take_part();
  while (part && part->is_match && split_.behavior == SplitBehavior::kRemoved) part = take_part();
  if (!part) return {};
  const bool any_number = split_.behavior == SplitBehavior::kContiguous;
  for (ahead_ = next_part(); ahead_ && absorbs(*part, *ahead_);) {
    part->end = ahead_->end;
    ahead_ = next_part();
    if (!any_number) break;
  }
  return text_.substr(part->begin, part->end - part->begin);
}

WordCursor::WordCursor(const PreTokenizer& pre_tokenizer, std::string_view text) : rest_(text) {
  cursors_.reserve(pre_tokenizer.splits_.size());
  for (const PreTokenizer::Split& split : pre_tokenizer.splits_) cursors_.emplace_back(split);
}

std::string_view WordCursor::next_in_run() {
  for (;;) {
    const std::string_view piece = cursors_[level_].next();
    if (piece.empty()) {
      if (level_ == 0) return {};
      --level_;
      continue;
    }
    if (level_ + 1 == cursors_.size()) return piece;
    cursors_[++level_].restart(piece);
  }
}

std::string_view WordCursor::next() {
  while (in_run_ || !rest_.empty()) {
    if (in_run_) {
      const std::string_view word = next_in_run();
      if (!word.empty()) return word;
      in_run_ = false;
      continue;
    }
    const size_t valid = utf8_run(rest_, true);
    const std::string_view run = rest_.substr(0, valid > 0 ? valid : utf8_run(rest_, false));
    rest_.remove_prefix(run.size());
    if (valid == 0 || cursors_.empty()) return run;
    cursors_[level_ = 0].restart(run);
    in_run_ = true;
  }
  return {};
}

}  // namespace spillway::formats
