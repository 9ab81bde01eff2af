// See tokenizer_text.h.
#include "formats/tokenizer_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/check.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (size_t begin = 0; begin < text.size();) {
    const size_t found = std::min(text.find(from, begin), text.size());
    out += text.substr(begin, found - begin);
    if (found < text.size()) out += to;
    begin = found + from.size();
  }
  return out;
}

utf8proc_option_t options_of(TextStep::Kind kind) {
  switch (kind) {
    case TextStep::Kind::kNfd:
      return UTF8PROC_DECOMPOSE;
    case TextStep::Kind::kNfkd:
      return static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
    case TextStep::Kind::kNfkc:
      return static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    default:
      return UTF8PROC_COMPOSE;
  }
}

bool is_ascii(std::string_view text) {
  for (const char byte : text)
    if (static_cast<uint8_t>(byte) >= 0x80) return false;
  return true;
}

void append_normal_form(std::string_view text, utf8proc_option_t form, std::string& out) {
  if (is_ascii(text)) {
    out += text;
    return;
  }
  utf8proc_uint8_t* made = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &made,
                                 static_cast<utf8proc_option_t>(form | UTF8PROC_STABLE));
  // It fails where memory is out, or on bytes that are no UTF-8, which `text` does not have.
  SPILLWAY_CHECK(size >= 0);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(made, &std::free);
  out.append(reinterpret_cast<const char*>(made), static_cast<size_t>(size));
}

std::string normal_form(std::string_view text, TextStep::Kind kind) {
  std::string out;
  while (!text.empty()) {
    const size_t valid = utf8_run(text, true);
    append_normal_form(text.substr(0, valid), options_of(kind), out);
    text.remove_prefix(valid);
    const size_t invalid = utf8_run(text, false);
    out += text.substr(0, invalid);
    text.remove_prefix(invalid);
  }
  return out;
}

bool prepends(const TextStep& step, std::string_view text, bool at_start) {
  if (text.empty()) return false;
  if (step.kind == TextStep::Kind::kPrepend) return true;
  if (step.kind == TextStep::Kind::kPrependAtStart && !at_start) return false;
  return !text.starts_with(step.to);
}

// The last character of `text`, if it is one.
std::optional<std::string_view> last_character(std::string_view text) {
  for (size_t size = 1; size <= 4 && size <= text.size(); ++size) {
    const std::string_view tail = text.substr(text.size() - size);
    const Utf8Sequence first = first_utf8(tail);
    if (first.state == Utf8State::kCharacter && first.size == size) return tail;
  }
  return std::nullopt;
}

std::optional<std::string_view> first_character(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const Utf8Sequence first = first_utf8(text);
  if (first.state != Utf8State::kCharacter) return std::nullopt;
  return text.substr(0, first.size);
}

}  // namespace

std::string TextSteps::apply(std::string_view text, bool at_start) const {
  std::string changed(text);
  for (const TextStep& step : steps_) {
    switch (step.kind) {
      case TextStep::Kind::kReplace:
        changed = replace_all(changed, step.from, step.to);
        break;
      case TextStep::Kind::kPrepend:
      case TextStep::Kind::kPrependOnce:
      case TextStep::Kind::kPrependAtStart:
        if (prepends(step, changed, at_start)) changed.insert(0, step.to);
        break;
      case TextStep::Kind::kNfc:
      case TextStep::Kind::kNfd:
      case TextStep::Kind::kNfkc:
      case TextStep::Kind::kNfkd:
        changed = normal_form(changed, step.kind);
        break;
    }
  }
  return changed;
}

size_t TextSteps::memory_bytes() const {
  size_t bytes = steps_.capacity() * sizeof(TextStep);
  for (const TextStep& step : steps_) bytes += step.from.capacity() + step.to.capacity();
  return bytes;
}

bool is_white_space(uint32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_word_character(uint32_t code_point) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return code_point == 0x200C || code_point == 0x200D;
  }
}

size_t leading_white_space(std::string_view text) {
  size_t size = 0;
  while (const auto first = first_character(text.substr(size))) {
    if (!is_white_space(decode_utf8(*first))) break;
    size += first->size();
  }
  return size;
}

size_t trailing_white_space(std::string_view text) {
  size_t size = 0;
  while (const auto last = last_character(text.substr(0, text.size() - size))) {
    if (!is_white_space(decode_utf8(*last))) break;
    size += last->size();
  }
  return size;
}

bool begins_with_word(std::string_view text) {
  const auto first = first_character(text);
  return first && is_word_character(decode_utf8(*first));
}

bool ends_with_word(std::string_view text) {
  const auto last = last_character(text);
  return last && is_word_character(decode_utf8(*last));
}

}  // namespace spillway::formats
