// One file: its header against its size.
#include "formats/safetensors.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>

#include "formats/gguf_index.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_values.h"
#include "formats/safetensors_json.h"

namespace spillway::formats {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMostDimensions = 32;  // numpy's, before 2.0; ours are at most 4

struct StoredType {
  std::string_view name;
  uint64_t bits;
  std::optional<DType> dtype;
};

constexpr std::array kStoredTypes = {
    StoredType{"F32", 32, DType::kF32},
    StoredType{"F16", 16, DType::kF16},
    StoredType{"BF16", 16, DType::kBF16},
    StoredType{"F64", 64, {}},
    StoredType{"I64", 64, {}},
    StoredType{"U64", 64, {}},
    StoredType{"C64", 64, {}},
    StoredType{"I32", 32, {}},
    StoredType{"U32", 32, {}},
    StoredType{"I16", 16, {}},
    StoredType{"U16", 16, {}},
    StoredType{"I8", 8, {}},
    StoredType{"U8", 8, {}},
    StoredType{"BOOL", 8, {}},
    StoredType{"F8_E4M3", 8, {}},
    StoredType{"F8_E5M2", 8, {}},
    StoredType{"F8_E8M0", 8, {}},
    StoredType{"F6_E2M3", 6, {}},
    StoredType{"F6_E3M2", 6, {}},
    StoredType{"F4", 4, {}},
};

Result<void> read_exactly(const platform::File& file, uint64_t offset, std::span<std::byte> target,
                          std::string_view what) {
  SPILLWAY_ASSIGN(const size_t bytes, file.read(offset, target));
  if (bytes == target.size()) return {};
  return fail(ErrorCode::kBadFile,
              "{} at offset {}: {} bytes are needed, but the file ends after {}; is the download "
              "complete?",
              what, offset, target.size(), bytes);
}

Result<std::string> read_text(const platform::File& file, SafetensorsLimits limits,
                              HeaderMemory& memory) {
  std::array<std::byte, kLengthBytes> raw{};
  SPILLWAY_TRY(read_exactly(file, 0, raw, "the header's length"));
  const auto length = std::bit_cast<uint64_t>(raw);
  const uint64_t left = file.info().size_bytes - kLengthBytes;
  if (length > left || length > limits.header_bytes) {
    return fail(ErrorCode::kBadFile,
                "a header of {} bytes: the file has {} more, and headers have at most {}; this is "
                "no safetensors file, or its download is not complete",
                length, left, limits.header_bytes);
  }
  SPILLWAY_TRY(memory.charge(length + kAllocationBytes, 1));
  std::string text(static_cast<size_t>(length), '\0');
  SPILLWAY_TRY(
      read_exactly(file, kLengthBytes, std::as_writable_bytes(std::span(text)), "the header"));
  return text;
}

// Bytes that the shape takes; nothing where they are not whole or not countable.
std::optional<uint64_t> bytes_of(const std::vector<uint64_t>& shape, uint64_t bits) {
  uint64_t product = bits;
  for (const uint64_t dimension : shape) {
    if (__builtin_mul_overflow(product, dimension, &product)) return std::nullopt;
  }
  if (product % 8 != 0) return std::nullopt;
  return product / 8;
}

Result<void> check_entry(const SafetensorsEntry& entry, const StoredType& type,
                         uint64_t data_bytes) {
  const auto [begin, end] = entry.offsets;
  if (begin > end || end > data_bytes) {
    return fail(ErrorCode::kBadFile,
                "its data_offsets {} to {} do not lie in the file's {} bytes of data; is the "
                "download complete?",
                begin, end, data_bytes);
  }
  if (entry.shape.size() > kMostDimensions) {
    return fail(ErrorCode::kBadFile, "{} dimensions; {} at most", entry.shape.size(),
                kMostDimensions);
  }
  if (bytes_of(entry.shape, type.bits) != end - begin) {
    return fail(ErrorCode::kBadFile, "{} of shape [{}] does not take the {} bytes that it has",
                type.name, fmt::join(entry.shape, ", "), end - begin);
  }
  return {};
}

// The specification's: no name twice; the bytes are those of the tensors, without a gap and without
// an overlap.
Result<void> check_entries(std::vector<SafetensorsEntry>& entries, uint64_t data_bytes) {
  if (const auto twice = name_used_twice(entries, positions_by_name(entries))) {
    return fail(ErrorCode::kBadFile, "the tensor {} occurs twice", in_quotes(*twice));
  }
  std::ranges::sort(entries, {}, &SafetensorsEntry::offsets);
  uint64_t covered = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offsets[0] != covered) {
      return fail(ErrorCode::kBadFile,
                  "tensor {} begins at {} of the data, but what lies before it ends at {}",
                  in_quotes(entry.name), entry.offsets[0], covered);
    }
    covered = entry.offsets[1];
  }
  if (covered == data_bytes) return {};
  return fail(ErrorCode::kBadFile, "the tensors take {} bytes, but the file has {} of data",
              covered, data_bytes);
}

}  // namespace

Result<SafetensorsHeader> read_safetensors(const platform::File& file, SafetensorsLimits limits) {
  HeaderMemory memory(limits.memory_bytes);
  SPILLWAY_ASSIGN(const std::string text, read_text(file, limits, memory));
  SPILLWAY_ASSIGN(auto entries, parse_safetensors_json(text, memory));
  const uint64_t data_begin = kLengthBytes + text.size();
  const uint64_t data_bytes = file.info().size_bytes - data_begin;
  SPILLWAY_TRY(check_entries(entries, data_bytes));
  SafetensorsHeader header;
  for (SafetensorsEntry& entry : entries) {
    const auto type = std::ranges::find(kStoredTypes, entry.type, &StoredType::name);
    if (type == kStoredTypes.end()) {
      return fail(ErrorCode::kBadFile, "tensor {}: the type {} is not known", in_quotes(entry.name),
                  in_quotes(entry.type));
    }
    const auto checked = check_entry(entry, *type, data_bytes);
    if (!checked) return fail_within("tensor " + in_quotes(entry.name), checked.error());
    if (!type->dtype) {
      header.others.push_back({std::move(entry.name), std::move(entry.type)});
      continue;
    }
    header.tensors.push_back({.name = std::move(entry.name),
                              .dtype = *type->dtype,
                              .dimensions = {entry.shape.rbegin(), entry.shape.rend()},
                              .offset = data_begin + entry.offsets[0],
                              .size_bytes = entry.offsets[1] - entry.offsets[0]});
  }
  return header;
}

}  // namespace spillway::formats
