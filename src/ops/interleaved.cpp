#include "ops/interleaved.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.h"
#include "ops/cpu/half.h"

namespace spillway::ops {
namespace {

enum class Unit {
  kHalf,    // 16 bits of each row side by side
  kWord,    // 32
  kNibbles  // 32, of which each row's four bits stand side by side
};

// `count` units of a block, from byte `offset` on.
struct Piece {
  size_t offset;
  Unit unit;
  size_t count;
};

std::span<const Piece> pieces_of(DType dtype) {
  static constexpr std::array kQ4_0 = {Piece{0, Unit::kHalf, 1}, Piece{2, Unit::kWord, 4}};
  static constexpr std::array kQ4_1 = {Piece{0, Unit::kHalf, 2}, Piece{4, Unit::kWord, 4}};
  static constexpr std::array kQ5_0 = {Piece{0, Unit::kHalf, 1}, Piece{2, Unit::kNibbles, 1},
                                       Piece{6, Unit::kWord, 4}};
  static constexpr std::array kQ5_1 = {Piece{0, Unit::kHalf, 2}, Piece{4, Unit::kNibbles, 1},
                                       Piece{8, Unit::kWord, 4}};
  static constexpr std::array kQ8_0 = {Piece{0, Unit::kHalf, 1}, Piece{2, Unit::kWord, 8}};
  static constexpr std::array kQ4_K = {Piece{0, Unit::kHalf, 2}, Piece{4, Unit::kWord, 35}};
  static constexpr std::array kQ5_K = {Piece{0, Unit::kHalf, 2}, Piece{4, Unit::kWord, 43}};
  static constexpr std::array kQ6_K = {Piece{208, Unit::kHalf, 1}, Piece{192, Unit::kWord, 4},
                                       Piece{0, Unit::kWord, 48}};
  switch (dtype) {
    case DType::kQ4_0:
      return kQ4_0;
    case DType::kQ4_1:
      return kQ4_1;
    case DType::kQ5_0:
      return kQ5_0;
    case DType::kQ5_1:
      return kQ5_1;
    case DType::kQ8_0:
      return kQ8_0;
    case DType::kQ4_K:
      return kQ4_K;
    case DType::kQ5_K:
      return kQ5_K;
    case DType::kQ6_K:
      return kQ6_K;
    default:
      return {};
  }
}

template <typename T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

template <typename T>
std::byte* interleave_units(const std::byte* from, size_t row_size, size_t count, std::byte* to) {
  for (size_t i = 0; i < count; ++i, from += sizeof(T)) {
    for (size_t row = 0; row < kInterleavedRows; ++row, to += sizeof(T))
      store(to, cpu::load<T>(from + row * row_size));
  }
  return to;
}

// Word `four` of the result has bits 4 × four … + 3 of every row.
std::byte* interleave_nibbles(const std::byte* from, size_t row_size, std::byte* to) {
  for (size_t four = 0; four < 8; ++four, to += sizeof(uint64_t)) {
    uint64_t bits = 0;
    for (size_t row = 0; row < kInterleavedRows; ++row) {
      const uint64_t nibble = cpu::load<uint32_t>(from + row * row_size) >> (4 * four) & 15U;
      bits |= nibble << (4 * row);
    }
    store(to, bits);
  }
  return to;
}

uint32_t extract_nibbles(const std::byte* group, size_t row) {
  uint32_t bits = 0;
  for (size_t four = 0; four < 8; ++four) {
    const uint64_t nibble = cpu::load<uint64_t>(group + four * sizeof(uint64_t)) >> (4 * row) & 15U;
    bits |= static_cast<uint32_t>(nibble) << (4 * four);
  }
  return bits;
}

size_t unit_bytes(Unit unit) {
  return unit == Unit::kHalf ? sizeof(uint16_t) : sizeof(uint32_t);
}

}  // namespace

bool has_interleaved_form(DType dtype) {
  return !pieces_of(dtype).empty();
}

void interleave_words(const std::byte* rows, size_t row_bytes, size_t words, std::byte* to) {
  interleave_units<uint32_t>(rows, row_bytes, words, to);
}

void interleave_group(DType dtype, size_t columns, const std::byte* rows, std::byte* group,
                      InterleaveWords words) {
  SPILLWAY_CHECK(has_interleaved_form(dtype));
  const size_t row_size = row_bytes(dtype, columns);
  const size_t block = dtype_info(dtype).block_bytes;
  for (const std::byte* from = rows; from < rows + row_size; from += block) {
    for (const Piece& piece : pieces_of(dtype)) {
      const std::byte* first = from + piece.offset;
      if (piece.unit == Unit::kHalf) {
        group = interleave_units<uint16_t>(first, row_size, piece.count, group);
      } else if (piece.unit == Unit::kWord) {
        words(first, row_size, piece.count, group);
        group += piece.count * sizeof(uint32_t) * kInterleavedRows;
      } else {
        group = interleave_nibbles(first, row_size, group);
      }
    }
  }
}

void extract_row(DType dtype, size_t columns, const std::byte* group, size_t row, std::byte* out) {
  SPILLWAY_CHECK(has_interleaved_form(dtype) && row < kInterleavedRows);
  const size_t block = dtype_info(dtype).block_bytes;
  const std::byte* end = out + row_bytes(dtype, columns);
  for (; out < end; out += block) {
    for (const Piece& piece : pieces_of(dtype)) {
      const size_t bytes = unit_bytes(piece.unit);
      for (size_t i = 0; i < piece.count; ++i, group += kInterleavedRows * bytes) {
        std::byte* to = out + piece.offset + i * bytes;
        if (piece.unit == Unit::kNibbles) {
          store(to, extract_nibbles(group, row));
        } else {
          std::memcpy(to, group + row * bytes, bytes);
        }
      }
    }
  }
}

}  // namespace spillway::ops
