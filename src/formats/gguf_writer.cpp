#include "formats/gguf_writer.h"

#include "base/check.h"
#include "base/units.h"
#include "formats/gguf_values.h"

namespace spillway::formats {
namespace {

constexpr uint32_t kVersion = 3;
constexpr size_t kMostNameBytes = 64;  // by the specification

template <typename Number>
void put(std::string& to, Number value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& to, std::string_view text) {
  put<uint64_t>(to, text.size());
  to.append(text);
}

void put_key(std::string& to, std::string_view key, GgufType type) {
  put_text(to, key);
  put(to, type);
}

void put_array(std::string& to, std::string_view key, GgufType type, size_t count) {
  put_key(to, key, GgufType::kArray);
  put(to, type);
  put<uint64_t>(to, count);
}

template <typename Number>
void put_numbers(std::string& to, std::span<const Number> values) {
  to.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

}  // namespace

void GgufHeader::add(std::string_view key, std::string_view text) {
  ++pairs_;
  put_key(metadata_, key, GgufType::kString);
  put_text(metadata_, text);
}

void GgufHeader::add(std::string_view key, uint32_t value) {
  ++pairs_;
  put_key(metadata_, key, GgufType::kUint32);
  put(metadata_, value);
}

void GgufHeader::add(std::string_view key, float value) {
  ++pairs_;
  put_key(metadata_, key, GgufType::kFloat32);
  put(metadata_, value);
}

void GgufHeader::add(std::string_view key, bool value) {
  ++pairs_;
  put_key(metadata_, key, GgufType::kBool);
  put<uint8_t>(metadata_, value ? 1 : 0);
}

void GgufHeader::add(std::string_view key, const StringArray& values) {
  ++pairs_;
  put_array(metadata_, key, GgufType::kString, values.size());
  for (size_t i = 0; i < values.size(); ++i) put_text(metadata_, values[i]);
}

void GgufHeader::add(std::string_view key, std::span<const float> values) {
  ++pairs_;
  put_array(metadata_, key, GgufType::kFloat32, values.size());
  put_numbers(metadata_, values);
}

void GgufHeader::add(std::string_view key, std::span<const int32_t> values) {
  ++pairs_;
  put_array(metadata_, key, GgufType::kInt32, values.size());
  put_numbers(metadata_, values);
}

void GgufHeader::add(std::string_view key, const std::vector<bool>& values) {
  ++pairs_;
  put_array(metadata_, key, GgufType::kBool, values.size());
  for (const bool value : values) put<uint8_t>(metadata_, value ? 1 : 0);
}

void GgufHeader::add_pair(std::string_view bytes) {
  ++pairs_;
  metadata_.append(bytes);
}

void GgufHeader::add_tensor(std::string_view name, DType dtype,
                            std::span<const uint64_t> dimensions) {
  SPILLWAY_CHECK(name.size() <= kMostNameBytes && !dimensions.empty());
  ++tensor_count_;
  put_text(tensors_, name);
  put(tensors_, static_cast<uint32_t>(dimensions.size()));
  uint64_t rows = 1;
  for (const uint64_t dimension : dimensions) put(tensors_, dimension);
  for (const uint64_t dimension : dimensions.subspan(1)) rows *= dimension;
  put(tensors_, static_cast<uint32_t>(dtype));
  put(tensors_, data_bytes_);
  data_bytes_ += round_up(rows * row_bytes(dtype, dimensions[0]), alignment_);
}

uint64_t GgufHeader::file_bytes() const {
  constexpr size_t kStart = 4 + sizeof kVersion + 2 * sizeof(uint64_t);
  return round_up(kStart + metadata_.size() + tensors_.size(), alignment_) + data_bytes_;
}

uint64_t GgufHeader::memory_bytes() const {
  return metadata_.capacity() + tensors_.capacity() + file_bytes() - data_bytes_;
}

std::string GgufHeader::bytes() const {
  std::string bytes = "GGUF";
  bytes.reserve(static_cast<size_t>(file_bytes() - data_bytes_));
  put(bytes, kVersion);
  put(bytes, tensor_count_);
  put(bytes, pairs_);
  bytes += metadata_;
  bytes += tensors_;
  bytes.resize(static_cast<size_t>(round_up(bytes.size(), alignment_)), '\0');
  return bytes;
}

}  // namespace spillway::formats
