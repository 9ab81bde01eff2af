// Builds GGUF files in memory: sound ones by add() and add_tensor(), broken ones by the raw forms
// and the public knobs. Shares no code with the parser. Values; one thread.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/dtype.h"

namespace spillway::test {

// Bytes of a file in the making.
class GgufBytes {
 public:
  template <typename Number>
  requires std::is_arithmetic_v<Number> GgufBytes& number(Number value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
    return *this;
  }
  GgufBytes& raw(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  // A string as GGUF stores it; `length` where the file is to lie about it.
  GgufBytes& text(std::string_view text, std::optional<uint64_t> length = {}) {
    return number<uint64_t>(length.value_or(text.size())).raw(text);
  }
  GgufBytes& append(const std::vector<std::byte>& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  GgufBytes& pad(uint64_t alignment) {
    while (alignment > 0 && bytes_.size() % alignment != 0) bytes_.push_back(std::byte{0});
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// The numbers by which GGUF calls the types of metadata values.
template <typename T>
constexpr uint32_t gguf_type() {
  if constexpr (std::same_as<T, uint8_t>) return 0;
  if constexpr (std::same_as<T, int8_t>) return 1;
  if constexpr (std::same_as<T, uint16_t>) return 2;
  if constexpr (std::same_as<T, int16_t>) return 3;
  if constexpr (std::same_as<T, uint32_t>) return 4;
  if constexpr (std::same_as<T, int32_t>) return 5;
  if constexpr (std::same_as<T, float>) return 6;
  if constexpr (std::same_as<T, bool>) return 7;
  if constexpr (std::convertible_to<T, std::string_view>) return 8;
  if constexpr (std::same_as<T, uint64_t>) return 10;
  if constexpr (std::same_as<T, int64_t>) return 11;
  if constexpr (std::same_as<T, double>) return 12;
}
inline constexpr uint32_t kGgufArray = 9;

struct GgufTensorFields {
  std::string name;
  uint32_t type = 0;
  std::vector<uint64_t> dimensions;  // dimensions[0] is the row's length
  std::vector<std::byte> data;
  std::optional<uint32_t> dimension_count;  // else that of `dimensions`
  std::optional<uint64_t> offset;           // from the data's start; else behind the tensor before
};

class GgufBuilder {
 public:
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t alignment = 32;               // of the data; add "general.alignment" yourself
  std::optional<uint64_t> tensor_count;  // else the true one
  std::optional<uint64_t> pair_count;

  template <typename T>
  GgufBuilder& add(std::string_view key, const T& value) {
    return add_raw(key, gguf_type<std::decay_t<T>>(), value_bytes(value));
  }

  template <typename T>
  GgufBuilder& add_array(std::string_view key, const std::vector<T>& values) {
    GgufBytes bytes;
    bytes.number(gguf_type<T>()).template number<uint64_t>(values.size());
    for (const auto& value : values) bytes.append(value_bytes(static_cast<T>(value)));
    return add_raw(key, kGgufArray, bytes.bytes());
  }

  // `value` is what follows the type: for an array its element type, count and elements.
  GgufBuilder& add_raw(std::string_view key, uint32_t type, const std::vector<std::byte>& value) {
    metadata_.text(key).number(type).append(value);
    ++pairs_;
    return *this;
  }

  GgufBuilder& add_tensor(std::string_view name, DType dtype, std::vector<uint64_t> dimensions,
                          std::vector<std::byte> data) {
    return add_tensor({.name = std::string(name),
                       .type = static_cast<uint32_t>(dtype),
                       .dimensions = std::move(dimensions),
                       .data = std::move(data),
                       .dimension_count = {},
                       .offset = {}});
  }
  GgufBuilder& add_tensor(GgufTensorFields tensor) {
    tensors_.push_back(std::move(tensor));
    return *this;
  }

  // Everything before the data's padding: what a parser has to read.
  std::vector<std::byte> build_header() const {
    GgufBytes file;
    file.raw(magic).number(version);
    file.number(tensor_count.value_or(tensors_.size())).number(pair_count.value_or(pairs_));
    file.append(metadata_.bytes());
    uint64_t offset = 0;
    for (const GgufTensorFields& tensor : tensors_) {
      const auto count = static_cast<uint32_t>(tensor.dimensions.size());
      file.text(tensor.name).number(tensor.dimension_count.value_or(count));
      for (const uint64_t dimension : tensor.dimensions) file.number(dimension);
      file.number(tensor.type).number(tensor.offset.value_or(offset));
      offset += padded(tensor.data.size());
    }
    return file.bytes();
  }

  std::vector<std::byte> build() const {
    GgufBytes file;
    file.append(build_header());
    if (!tensors_.empty()) file.pad(alignment);
    for (const GgufTensorFields& tensor : tensors_) file.append(tensor.data).pad(alignment);
    return file.bytes();
  }

 private:
  template <typename T>
  static std::vector<std::byte> value_bytes(const T& value) {
    GgufBytes bytes;
    if constexpr (std::convertible_to<T, std::string_view>) {
      bytes.text(value);
    } else {
      bytes.number(value);
    }
    return bytes.bytes();
  }

  uint64_t padded(uint64_t size) const {
    return alignment == 0 ? size : (size + alignment - 1) / alignment * alignment;
  }

  GgufBytes metadata_;
  uint64_t pairs_ = 0;
  std::vector<GgufTensorFields> tensors_;
};

}  // namespace spillway::test
