#include "formats/jinja/utf8.h"

#include <string.h>  // memmem

#include <algorithm>

namespace spillway::formats::jinja {
namespace {

constexpr char32_t kInvalidBase = 0xDC00;

unsigned char byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

size_t sequence_size(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

std::vector<char32_t> sorted_code_points(std::string_view text) {
  std::vector<char32_t> set;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    set.push_back(point.value);
    at += point.size;
  }
  std::sort(set.begin(), set.end());
  return set;
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t at) {
  const unsigned char lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1};
  const CodePoint invalid{kInvalidBase + lead, 1};
  const size_t size = sequence_size(lead);
  if (size == 0 || at + size > text.size()) return invalid;
  char32_t value = lead & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) {
    const unsigned char byte = byte_at(text, at + i);
    if (!is_continuation(byte)) return invalid;
    value = (value << 6) | (byte & 0x3Fu);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return invalid;
  return {value, size};
}

size_t code_point_before(std::string_view text, size_t end) {
  for (size_t size = 2; size <= 4 && size <= end; ++size) {
    const size_t start = end - size;
    if (!is_continuation(byte_at(text, start + 1))) break;
    if (code_point_at(text, start).size == size) return start;
  }
  return end - 1;
}

void append_code_point(std::string& out, char32_t value) {
  const auto push = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    push(value);
  } else if (value < 0x800) {
    push(0xC0 | (value >> 6));
    push(0x80 | (value & 0x3F));
  } else if (value >= kInvalidBase + 0x80 && value <= kInvalidBase + 0xFF) {
    push(value - kInvalidBase);
  } else if (value < 0x10000) {
    push(0xE0 | (value >> 12));
    push(0x80 | ((value >> 6) & 0x3F));
    push(0x80 | (value & 0x3F));
  } else {
    push(0xF0 | (value >> 18));
    push(0x80 | ((value >> 12) & 0x3F));
    push(0x80 | ((value >> 6) & 0x3F));
    push(0x80 | (value & 0x3F));
  }
}

size_t count_code_points(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) at += code_point_at(text, at).size;
  return count;
}

std::vector<size_t> code_point_starts(std::string_view text) {
  std::vector<size_t> starts;
  for (size_t at = 0; at < text.size(); at += code_point_at(text, at).size) starts.push_back(at);
  starts.push_back(text.size());
  return starts;
}

bool is_space(char32_t value) {
  if (value < 0x80)
    return value == ' ' || (value >= 9 && value <= 13) || (value >= 28 && value <= 31);
  return value == 0x85 || value == 0xA0 || value == 0x1680 ||
         (value >= 0x2000 && value <= 0x200A) || value == 0x2028 || value == 0x2029 ||
         value == 0x202F || value == 0x205F || value == 0x3000;
}

std::string_view strip(std::string_view text, Side side,
                       std::optional<std::string_view> characters) {
  std::vector<char32_t> set;
  if (characters) set = sorted_code_points(*characters);
  const auto stripped = [&](char32_t value) {
    return characters ? std::binary_search(set.begin(), set.end(), value) : is_space(value);
  };
  size_t begin = 0;
  size_t end = text.size();
  while (side != Side::kRight && begin < end) {
    const CodePoint point = code_point_at(text, begin);
    if (!stripped(point.value)) break;
    begin += point.size;
  }
  while (side != Side::kLeft && begin < end) {
    const size_t start = code_point_before(text, end);
    if (!stripped(code_point_at(text, start).value)) break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* found =
      ::memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace spillway::formats::jinja
