// UTF-8 as tokenizers meet it: any bytes, of which some are characters. Functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::formats {

enum class Utf8State { kCharacter, kInvalid, kIncomplete };

// What a text begins with: one character of `size` bytes, one byte that no character can begin
// with, or the first bytes (all that are left of the text) of a character that is cut off.
struct Utf8Sequence {
  Utf8State state;
  size_t size;
};

Utf8Sequence first_utf8(std::string_view text);  // `text` must not be empty

// Bytes at the front of `text` that are whole characters, or (`valid` false) that are not.
size_t utf8_run(std::string_view text, bool valid);

// The code point of one whole character, and back.
uint32_t decode_utf8(std::string_view character);
void append_utf8(uint32_t code_point, std::string& out);

}  // namespace spillway::formats
