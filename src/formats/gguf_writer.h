// The header of a GGUF v3 file in the making: metadata, then where each tensor will lie. Who writes
// the file writes bytes() first, then the tensors in their order, each padded to the alignment.
// Values; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"

namespace spillway::formats {

class GgufHeader {
 public:
  explicit GgufHeader(uint64_t alignment = 32) : alignment_(alignment) {}

  // Each key once. Numbers are stored as uint32, float32 and so on: readers insist on the type.
  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }
  void add(std::string_view key, uint32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, bool value);
  void add(std::string_view key, const StringArray& values);
  void add(std::string_view key, std::span<const float> values);
  void add(std::string_view key, std::span<const int32_t> values);
  void add(std::string_view key, const std::vector<bool>& values);
  // A pair as it lies in another file (GgufFile::pair_bytes).
  void add_pair(std::string_view bytes);

  // Dimensions in GGUF's order, columns first. A name is at most 64 bytes.
  void add_tensor(std::string_view name, DType dtype, std::span<const uint64_t> dimensions);

  uint64_t alignment() const { return alignment_; }
  uint64_t file_bytes() const;    // with all tensors and their padding
  uint64_t memory_bytes() const;  // that this and bytes() hold, about
  // What lies before the data, padded.
  std::string bytes() const;

 private:
  uint64_t alignment_;
  uint64_t pairs_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t data_bytes_ = 0;
  std::string metadata_;
  std::string tensors_;
};

}  // namespace spillway::formats
