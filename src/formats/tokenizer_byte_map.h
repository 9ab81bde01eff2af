// How byte-level BPE spells bytes in its token texts: each byte is one printable character. Bytes
// that print in Latin-1 are themselves; the others follow U+0100 in order. Source: GPT-2's
// bytes_to_unicode. Functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::formats {

uint32_t byte_to_code_point(uint8_t byte);
std::optional<uint8_t> code_point_to_byte(uint32_t code_point);

}  // namespace spillway::formats
