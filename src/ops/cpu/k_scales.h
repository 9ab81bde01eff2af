// The 6-bit scales of Q3_K, Q4_K and Q5_K blocks, which lie packed in 12 bytes. Source: the GGUF
// specification (ggml's block layouts). Pure functions; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace spillway::ops::cpu {

struct ScalesAndMins {
  std::array<uint8_t, 8> scales;
  std::array<uint8_t, 8> mins;
};

// Q4_K and Q5_K: bytes 0–3 hold scales 0–3, bytes 4–7 mins 0–3 (6 bits each); bytes 8–11 the low
// four bits of scales and mins 4–7, whose upper two are the upper two of bytes 0–7.
inline ScalesAndMins unpack_scales_and_mins(const std::byte* packed) {
  std::array<uint32_t, 3> words;
  std::memcpy(words.data(), packed, sizeof(words));
  const auto [s, m, low] = words;
  const std::array<uint32_t, 4> out = {
      s & 0x3F3F3F3FU,
      (low & 0x0F0F0F0FU) | (s >> 2 & 0x30303030U),
      m & 0x3F3F3F3FU,
      (low >> 4 & 0x0F0F0F0FU) | (m >> 2 & 0x30303030U),
  };
  ScalesAndMins result;
  std::memcpy(&result, out.data(), sizeof(result));
  return result;
}

// Q3_K: 16 scales from −32 to 31. Low four bits in bytes 0–7 (first the low nibbles), upper two in
// bytes 8–11.
inline std::array<int8_t, 16> unpack_q3_scales(const std::byte* packed) {
  std::array<uint32_t, 3> words;
  std::memcpy(words.data(), packed, sizeof(words));
  const auto [a, b, high] = words;
  const std::array<uint32_t, 4> out = {
      (a & 0x0F0F0F0FU) | (high << 4 & 0x30303030U),
      (b & 0x0F0F0F0FU) | (high << 2 & 0x30303030U),
      (a >> 4 & 0x0F0F0F0FU) | (high & 0x30303030U),
      (b >> 4 & 0x0F0F0F0FU) | (high >> 2 & 0x30303030U),
  };
  std::array<int8_t, 16> scales;
  std::memcpy(scales.data(), out.data(), sizeof(scales));
  for (int8_t& scale : scales) scale = static_cast<int8_t>(scale - 32);
  return scales;
}

}  // namespace spillway::ops::cpu
