// See tokenizer_byte_map.h.
#include "formats/tokenizer_byte_map.h"

#include <array>

namespace spillway::formats {
namespace {

constexpr bool prints(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr uint32_t kFirstMoved = 0x100;
constexpr size_t kMoved = 68;

struct ByteMap {
  std::array<uint16_t, 256> code_points{};
  std::array<uint8_t, kMoved> moved{};  // the byte of U+0100 + index
};

constexpr ByteMap make_byte_map() {
  ByteMap map;
  uint32_t moved = 0;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if (!prints(byte)) map.moved[moved] = static_cast<uint8_t>(byte);
    map.code_points[byte] = static_cast<uint16_t>(prints(byte) ? byte : kFirstMoved + moved++);
  }
  return map;
}

constexpr ByteMap kByteMap = make_byte_map();

}  // namespace

uint32_t byte_to_code_point(uint8_t byte) {
  return kByteMap.code_points[byte];
}

std::optional<uint8_t> code_point_to_byte(uint32_t code_point) {
  if (code_point < kFirstMoved) {
    if (prints(code_point)) return static_cast<uint8_t>(code_point);
    return std::nullopt;
  }
  if (code_point - kFirstMoved < kMoved) return kByteMap.moved[code_point - kFirstMoved];
  return std::nullopt;
}

}  // namespace spillway::formats
