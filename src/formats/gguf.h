// GGUF v2 and v3, little-endian: a hostile file in, a description out. Nothing is allocated before
// the count or length behind it has been checked against the bytes that are left in the file; time
// and memory are linear in the header. Specification: ggml's docs/gguf.md. Values; const members
// are thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "platform/platform.h"
#include "tensor/dtype.h"

namespace spillway::formats {

// Many strings in one block of memory: what a vocabulary is.
class StringArray {
 public:
  StringArray() = default;
  // String i is text[ends[i - 1], ends[i]).
  StringArray(std::string text, std::vector<uint64_t> ends)
      : text_(std::move(text)), ends_(std::move(ends)) {}
  size_t size() const { return ends_.size(); }
  std::string_view operator[](size_t i) const {
    const uint64_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }
  void push_back(std::string_view s) {
    text_ += s;
    ends_.push_back(text_.size());
  }
  void reserve(size_t strings, size_t bytes) {
    ends_.reserve(strings);
    text_.reserve(bytes);
  }
  size_t memory_bytes() const { return text_.capacity() + ends_.capacity() * sizeof(uint64_t); }

 private:
  std::string text_;
  std::vector<uint64_t> ends_;
};

// One metadata value. Integers of all widths are widened; arrays of numbers likewise. Nested arrays
// are checked and skipped, and kept as std::monostate: no model that we run needs them.
using GgufValue =
    std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, std::vector<bool>,
                 std::vector<int64_t>, std::vector<uint64_t>, std::vector<float>, StringArray>;

struct GgufTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> dimensions;  // GGUF order: dimensions[0] is the row's length (columns)
  uint64_t offset = 0;               // of its first byte in the file
  uint64_t size_bytes = 0;

  uint64_t columns() const { return dimensions.empty() ? 1 : dimensions[0]; }
  uint64_t rows() const;  // product of the other dimensions
};

struct GgufLimits {
  // For what is kept of the header; exceeding it is kBudget. It bounds the time as well: a sparse
  // file of any size costs its author nothing. Vocabularies take a few MiB.
  uint64_t memory_bytes = uint64_t{1} << 30;
};

class GgufFile {
 public:
  // kBadFile names the field, the value and why it cannot be; kMachine if reading fails.
  static Result<GgufFile> parse(const platform::File& file, GgufLimits limits = {});

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  uint64_t data_offset() const { return data_offset_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  // The bytes [first, second) of the file that pair i of metadata() takes, its key included: to
  // copy it as it is.
  std::pair<uint64_t, uint64_t> pair_bytes(size_t i) const {
    return {i == 0 ? metadata_offset_ : pair_ends_[i - 1], pair_ends_[i]};
  }

  const GgufValue* find(std::string_view key) const;
  // The value under `key`: kBadFile if it is missing or of another type (integers convert where the
  // value fits).
  Result<uint64_t> unsigned_value(std::string_view key) const;
  Result<double> float_value(std::string_view key) const;
  Result<bool> bool_value(std::string_view key) const;
  Result<std::string_view> string_value(std::string_view key) const;
  // The same with a default for a missing key; a wrong type is still kBadFile.
  Result<uint64_t> unsigned_value(std::string_view key, uint64_t otherwise) const;
  Result<double> float_value(std::string_view key, double otherwise) const;
  Result<bool> bool_value(std::string_view key, bool otherwise) const;

  // Moves the value under `key` out, so that a vocabulary is held once; the key then reads as
  // monostate.
  GgufValue take(std::string_view key);

  size_t memory_bytes() const;  // held by this object, about

 private:
  friend class GgufParser;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  uint64_t data_offset_ = 0;
  uint64_t metadata_offset_ = 0;
  std::vector<uint64_t> pair_ends_;  // offsets in the file
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<size_t> metadata_by_key_;  // positions, sorted (gguf_index.h)
  std::vector<size_t> tensors_by_name_;
};

}  // namespace spillway::formats
