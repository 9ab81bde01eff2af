// See tokenizer_utf8.h. Source: the Unicode standard, table 3-7, well-formed UTF-8 byte sequences.
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

uint8_t byte_at(std::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]);
}

size_t size_by_lead(uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// The second byte carries what rules out long forms, surrogates and values above U+10FFFF.
bool second_may_be(uint8_t lead, uint8_t second) {
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return second >= low && second <= high;
}

}  // namespace

Utf8Sequence first_utf8(std::string_view text) {
  const uint8_t lead = byte_at(text, 0);
  const size_t size = size_by_lead(lead);
  if (size == 0) return {Utf8State::kInvalid, 1};
  for (size_t i = 1; i < size; ++i) {
    if (i == text.size()) return {Utf8State::kIncomplete, text.size()};
    const uint8_t byte = byte_at(text, i);
    const bool fits = i == 1 ? second_may_be(lead, byte) : (byte & 0xC0) == 0x80;
    if (!fits) return {Utf8State::kInvalid, 1};
  }
  return {Utf8State::kCharacter, size};
}

size_t utf8_run(std::string_view text, bool valid) {
  size_t end = 0;
  while (end < text.size()) {
    const Utf8Sequence sequence = first_utf8(text.substr(end));
    if ((sequence.state == Utf8State::kCharacter) != valid) break;
    end += sequence.size;
  }
  return end;
}

uint32_t decode_utf8(std::string_view character) {
  const uint8_t lead = byte_at(character, 0);
  uint32_t value = character.size() == 1 ? lead : lead & (0xFFu >> (character.size() + 1));
  for (size_t i = 1; i < character.size(); ++i)
    value = value << 6 | (byte_at(character, i) & 0x3Fu);
  return value;
}

void append_utf8(uint32_t code_point, std::string& out) {
  const auto tail = [&](uint32_t shift) {
    out += static_cast<char>(0x80 | (code_point >> shift & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | code_point >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | code_point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace spillway::formats
