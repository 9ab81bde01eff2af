#include "formats/gguf_values.h"

#include <array>
#include <limits>
#include <type_traits>

#include "base/check.h"

namespace spillway::formats {
namespace {

constexpr unsigned kMaxArrayDepth = 4;

// The least bytes that a value of each type takes in the file, by GgufType.
constexpr std::array<uint64_t, 13> kLeastBytes = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

uint64_t least_bytes_of(GgufType type) {
  return kLeastBytes[static_cast<size_t>(type)];
}

template <typename Kept, typename Stored>
Kept widen(Stored stored) {
  if constexpr (std::is_same_v<Kept, float> && std::is_same_v<Stored, double>) {
    // A conversion that overflows is undefined.
    constexpr double kMost = std::numeric_limits<float>::max();
    if (stored > kMost) return std::numeric_limits<float>::infinity();
    if (stored < -kMost) return -std::numeric_limits<float>::infinity();
  }
  return static_cast<Kept>(stored);
}

template <typename Kept, typename Stored>
Result<GgufValue> read_scalar(GgufReader& reader) {
  SPILLWAY_ASSIGN(const Stored stored, reader.read_number<Stored>("value"));
  return GgufValue(widen<Kept>(stored));
}

}  // namespace

Result<void> HeaderMemory::charge(uint64_t count, uint64_t bytes_each) {
  const uint64_t left = limit_bytes_ - used_bytes_;
  if (count > left / bytes_each) {
    return fail(ErrorCode::kBudget,
                "the header's {} × {} bytes here do not fit into the {} bytes that may be kept of "
                "it, of which {} are taken; raise the budget",
                count, bytes_each, limit_bytes_, used_bytes_);
  }
  used_bytes_ += count * bytes_each;
  return {};
}

size_t heap_bytes(const std::string& text) {
  const bool in_place = text.size() <= std::string().capacity();
  return in_place ? 0 : text.size() + 1 + kAllocationBytes;
}

size_t heap_bytes(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> size_t {
        using Held = std::remove_cvref_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::string>) {
          return heap_bytes(held);
        } else if constexpr (std::is_same_v<Held, StringArray>) {
          return held.memory_bytes() + 2 * kAllocationBytes;
        } else if constexpr (std::is_same_v<Held, std::vector<bool>>) {
          return held.capacity() / 8 + kAllocationBytes;
        } else if constexpr (std::is_arithmetic_v<Held> || std::is_same_v<Held, std::monostate>) {
          return 0;
        } else {
          return held.capacity() * sizeof(held[0]) + kAllocationBytes;
        }
      },
      value);
}

size_t heap_bytes(const GgufTensor& tensor) {
  return heap_bytes(tensor.name) + tensor.dimensions.capacity() * sizeof(uint64_t) +
         kAllocationBytes;
}

Result<GgufType> GgufValueReader::read_type() {
  const uint64_t offset = reader_.position();
  SPILLWAY_ASSIGN(const uint32_t number, reader_.read_number<uint32_t>("value type"));
  if (number >= kLeastBytes.size()) {
    return fail(ErrorCode::kBadFile, "value type {} at offset {}: GGUF has types 0 to {}", number,
                offset, kLeastBytes.size() - 1);
  }
  return static_cast<GgufType>(number);
}

Result<std::string> GgufValueReader::read_string(std::string_view field, uint64_t least,
                                                 uint64_t most) {
  const uint64_t offset = reader_.position();
  SPILLWAY_ASSIGN(const uint64_t length, reader_.read_count(field, 1));
  if (length < least || length > most) {
    return fail(ErrorCode::kBadFile, "{} {} at offset {}: it must be {} to {} bytes", field, length,
                offset, least, most);
  }
  SPILLWAY_TRY(memory_.charge(length + 1 + kAllocationBytes, 1));
  std::string text;
  text.reserve(static_cast<size_t>(length));
  SPILLWAY_TRY(reader_.append(text, length));
  return text;
}

Result<bool> GgufValueReader::read_bool() {
  const uint64_t offset = reader_.position();
  SPILLWAY_ASSIGN(const uint8_t stored, reader_.read_number<uint8_t>("bool"));
  if (stored > 1) {
    return fail(ErrorCode::kBadFile, "bool {} at offset {}: it must be 0 or 1", stored, offset);
  }
  return stored == 1;
}

Result<GgufValue> GgufValueReader::read_value(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
      return read_scalar<uint64_t, uint8_t>(reader_);
    case GgufType::kInt8:
      return read_scalar<int64_t, int8_t>(reader_);
    case GgufType::kUint16:
      return read_scalar<uint64_t, uint16_t>(reader_);
    case GgufType::kInt16:
      return read_scalar<int64_t, int16_t>(reader_);
    case GgufType::kUint32:
      return read_scalar<uint64_t, uint32_t>(reader_);
    case GgufType::kInt32:
      return read_scalar<int64_t, int32_t>(reader_);
    case GgufType::kFloat32:
      return read_scalar<double, float>(reader_);
    case GgufType::kUint64:
      return read_scalar<uint64_t, uint64_t>(reader_);
    case GgufType::kInt64:
      return read_scalar<int64_t, int64_t>(reader_);
    case GgufType::kFloat64:
      return read_scalar<double, double>(reader_);
    case GgufType::kBool:
      return read_bool().map([](bool value) { return GgufValue(value); });
    case GgufType::kString:
      return read_string("string length", 0, UINT64_MAX).map([](std::string text) {
        return GgufValue(std::move(text));
      });
    case GgufType::kArray:
      return read_array();
  }
  spillway::check_failed(__FILE__, __LINE__, "type came from read_type");
}

Result<GgufValue> GgufValueReader::read_array() {
  SPILLWAY_ASSIGN(const GgufType type, read_type());
  SPILLWAY_ASSIGN(const uint64_t count, reader_.read_count("array length", least_bytes_of(type)));
  switch (type) {
    case GgufType::kUint8:
      return read_numbers<uint8_t, uint64_t>(count);
    case GgufType::kInt8:
      return read_numbers<int8_t, int64_t>(count);
    case GgufType::kUint16:
      return read_numbers<uint16_t, uint64_t>(count);
    case GgufType::kInt16:
      return read_numbers<int16_t, int64_t>(count);
    case GgufType::kUint32:
      return read_numbers<uint32_t, uint64_t>(count);
    case GgufType::kInt32:
      return read_numbers<int32_t, int64_t>(count);
    case GgufType::kFloat32:
      return read_numbers<float, float>(count);
    case GgufType::kUint64:
      return read_numbers<uint64_t, uint64_t>(count);
    case GgufType::kInt64:
      return read_numbers<int64_t, int64_t>(count);
    case GgufType::kFloat64:
      return read_numbers<double, float>(count);
    case GgufType::kBool:
      return read_bools(count);
    case GgufType::kString:
      return read_strings(count);
    case GgufType::kArray:
      SPILLWAY_TRY(skip_nested(count, 2));
      return GgufValue();
  }
  spillway::check_failed(__FILE__, __LINE__, "type came from read_type");
}

template <typename Stored, typename Kept>
Result<GgufValue> GgufValueReader::read_numbers(uint64_t count) {
  SPILLWAY_TRY(memory_.charge(count, sizeof(Kept)));
  SPILLWAY_TRY(memory_.charge(1, kAllocationBytes));
  std::vector<Kept> numbers;
  numbers.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    SPILLWAY_ASSIGN(const Stored stored, reader_.read_number<Stored>("array element"));
    numbers.push_back(widen<Kept>(stored));
  }
  return GgufValue(std::move(numbers));
}

Result<GgufValue> GgufValueReader::read_bools(uint64_t count) {
  SPILLWAY_TRY(memory_.charge(count / 8 + sizeof(uint64_t) + kAllocationBytes, 1));
  std::vector<bool> bools;
  bools.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    SPILLWAY_ASSIGN(const bool value, read_bool());
    bools.push_back(value);
  }
  return GgufValue(std::move(bools));
}

// Reads the lengths first and the text after: a vocabulary is then allocated once, exactly, and
// only after every length in it was found to be true.
Result<GgufValue> GgufValueReader::read_strings(uint64_t count) {
  SPILLWAY_TRY(memory_.charge(count, sizeof(uint64_t)));
  SPILLWAY_TRY(memory_.charge(2, kAllocationBytes));
  const uint64_t begin = reader_.position();
  SPILLWAY_ASSIGN(const uint64_t text_bytes, skip_strings(count));
  reader_.seek(begin);

  std::string text;
  std::vector<uint64_t> ends;
  text.reserve(static_cast<size_t>(text_bytes));
  ends.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    SPILLWAY_ASSIGN(const uint64_t length, reader_.read_count("string length", 1));
    if (length > text_bytes - text.size()) {
      return fail(ErrorCode::kBadFile,
                  "string {} of {} became longer while it was read; something "
                  "writes to the file",
                  i, count);
    }
    SPILLWAY_TRY(reader_.append(text, length));
    ends.push_back(text.size());
  }
  return GgufValue(StringArray(std::move(text), std::move(ends)));
}

// Charges the texts and returns their bytes.
Result<uint64_t> GgufValueReader::skip_strings(uint64_t count) {
  uint64_t text_bytes = 0;
  for (uint64_t i = 0; i < count; ++i) {
    SPILLWAY_ASSIGN(const uint64_t length, reader_.read_count("string length", 1));
    SPILLWAY_TRY(memory_.charge(length, 1));
    reader_.skip(length);
    text_bytes += length;
  }
  return text_bytes;
}

// `count` arrays that lie in an array at depth − 1; each takes 12 bytes or more, so that the time
// stays linear however they nest. They are charged although nothing of them is kept: no part of a
// header, which may be sparse, goes by without a charge.
Result<void> GgufValueReader::skip_nested(uint64_t count, unsigned depth) {
  SPILLWAY_TRY(memory_.charge(count, least_bytes_of(GgufType::kArray)));
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t offset = reader_.position();
    SPILLWAY_ASSIGN(const GgufType type, read_type());
    const uint64_t least_bytes = least_bytes_of(type);
    SPILLWAY_ASSIGN(const uint64_t length, reader_.read_count("array length", least_bytes));
    if (type == GgufType::kArray) {
      if (depth == kMaxArrayDepth) {
        return fail(ErrorCode::kBadFile, "array at offset {}: arrays nest deeper than {}", offset,
                    kMaxArrayDepth);
      }
      SPILLWAY_TRY(skip_nested(length, depth + 1));
      continue;
    }
    SPILLWAY_TRY(memory_.charge(length, least_bytes));
    if (type == GgufType::kString) {
      SPILLWAY_TRY(skip_strings(length));
    } else if (type == GgufType::kBool) {
      for (uint64_t j = 0; j < length; ++j) SPILLWAY_TRY(read_bool());
    } else {
      reader_.skip(length * least_bytes);
    }
  }
  return {};
}

}  // namespace spillway::formats
