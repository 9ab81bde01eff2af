// Access to a parsed header by name and type.
#include "formats/gguf.h"

#include <type_traits>

#include "formats/gguf_index.h"
#include "formats/gguf_values.h"

namespace spillway::formats {
namespace {

Result<const GgufValue*> required(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return fail(ErrorCode::kBadFile, "the key '{}' is missing", key);
  return value;
}

tl::unexpected<Error> wrong_type(std::string_view key, std::string_view wanted) {
  return fail(ErrorCode::kBadFile, "the key '{}' is of another type than {}", key, wanted);
}

Result<uint64_t> as_unsigned(std::string_view key, const GgufValue& value) {
  if (const auto* number = std::get_if<uint64_t>(&value)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value)) {
    if (*number >= 0) return static_cast<uint64_t>(*number);
    return fail(ErrorCode::kBadFile, "the key '{}' is {}; it must not be negative", key, *number);
  }
  return wrong_type(key, "an integer");
}

Result<double> as_float(std::string_view key, const GgufValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return wrong_type(key, "a number with a fraction");
}

Result<bool> as_bool(std::string_view key, const GgufValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  return wrong_type(key, "true or false");
}

}  // namespace

uint64_t GgufTensor::rows() const {
  uint64_t rows = 1;
  for (size_t i = 1; i < dimensions.size(); ++i) rows *= dimensions[i];
  return rows;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = find_position(tensors_, tensors_by_name_, name);
  return found ? &tensors_[*found] : nullptr;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = find_position(metadata_, metadata_by_key_, key);
  return found ? &metadata_[*found].second : nullptr;
}

Result<uint64_t> GgufFile::unsigned_value(std::string_view key) const {
  SPILLWAY_ASSIGN(const GgufValue* value, required(*this, key));
  return as_unsigned(key, *value);
}

Result<double> GgufFile::float_value(std::string_view key) const {
  SPILLWAY_ASSIGN(const GgufValue* value, required(*this, key));
  return as_float(key, *value);
}

Result<bool> GgufFile::bool_value(std::string_view key) const {
  SPILLWAY_ASSIGN(const GgufValue* value, required(*this, key));
  return as_bool(key, *value);
}

Result<std::string_view> GgufFile::string_value(std::string_view key) const {
  SPILLWAY_ASSIGN(const GgufValue* value, required(*this, key));
  if (const auto* text = std::get_if<std::string>(value)) return std::string_view(*text);
  return wrong_type(key, "text");
}

Result<uint64_t> GgufFile::unsigned_value(std::string_view key, uint64_t otherwise) const {
  return find(key) == nullptr ? Result<uint64_t>(otherwise) : unsigned_value(key);
}

Result<double> GgufFile::float_value(std::string_view key, double otherwise) const {
  return find(key) == nullptr ? Result<double>(otherwise) : float_value(key);
}

Result<bool> GgufFile::bool_value(std::string_view key, bool otherwise) const {
  return find(key) == nullptr ? Result<bool>(otherwise) : bool_value(key);
}

GgufValue GgufFile::take(std::string_view key) {
  const auto found = find_position(metadata_, metadata_by_key_, key);
  if (!found) return {};
  return std::exchange(metadata_[*found].second, GgufValue());
}

size_t GgufFile::memory_bytes() const {
  size_t bytes =
      metadata_.capacity() * sizeof(metadata_[0]) + pair_ends_.capacity() * sizeof(uint64_t) +
      metadata_by_key_.capacity() * sizeof(size_t) + tensors_.capacity() * sizeof(GgufTensor) +
      tensors_by_name_.capacity() * sizeof(size_t);
  for (const auto& [key, value] : metadata_) bytes += heap_bytes(key) + heap_bytes(value);
  for (const GgufTensor& tensor : tensors_) bytes += heap_bytes(tensor);
  return bytes;
}

}  // namespace spillway::formats
