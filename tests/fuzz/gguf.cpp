// Any bytes as a GGUF file: the parser neither breaks nor reads or keeps more than it may, and what
// it accepts holds what gguf.h promises.
#include "formats/gguf.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "support/memory_file.h"

namespace spillway::formats {
namespace {

constexpr uint64_t kSmallLimit = 2 * kKiB;

void check_tensors(const GgufFile& file, uint64_t size_bytes) {
  SPILLWAY_CHECK(file.data_offset() % file.alignment() == 0);
  uint64_t claimed_bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    SPILLWAY_CHECK(file.find_tensor(tensor.name) == &tensor);
    SPILLWAY_CHECK(tensor.offset >= file.data_offset() && tensor.offset <= size_bytes);
    SPILLWAY_CHECK(tensor.offset % file.alignment() == 0);
    SPILLWAY_CHECK(tensor.size_bytes > 0 && tensor.size_bytes <= size_bytes - tensor.offset);
    SPILLWAY_CHECK(row_bytes(tensor.dtype, tensor.columns()) * tensor.rows() == tensor.size_bytes);
    claimed_bytes += tensor.size_bytes;
  }
  SPILLWAY_CHECK(claimed_bytes <= size_bytes);
}

void check_metadata(GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    SPILLWAY_CHECK(file.find(key) == &value);
    static_cast<void>(file.unsigned_value(key));
    static_cast<void>(file.float_value(key, 0.0));
    static_cast<void>(file.bool_value(key, false));
    static_cast<void>(file.string_value(key));
    const auto* strings = std::get_if<StringArray>(&value);
    size_t text_bytes = 0;
    for (size_t i = 0; strings != nullptr && i < strings->size(); ++i) {
      text_bytes += (*strings)[i].size();
    }
    SPILLWAY_CHECK(strings == nullptr || text_bytes <= strings->memory_bytes());
  }
  if (!file.metadata().empty()) file.take(file.metadata().front().first);
}

Result<GgufFile> parse_checked(const test::MemoryFile& file, GgufLimits limits) {
  auto parsed = GgufFile::parse(file, limits);
  SPILLWAY_CHECK(file.bytes_read() <= 4 * file.info().size_bytes);
  if (parsed) {
    SPILLWAY_CHECK(parsed->memory_bytes() <= limits.memory_bytes);
  } else {
    const Error& error = parsed.error();
    SPILLWAY_CHECK(error.code == ErrorCode::kBadFile || error.code == ErrorCode::kBudget);
    SPILLWAY_CHECK(!error.message.empty() && error.message.size() < kKiB);
    SPILLWAY_CHECK(std::ranges::none_of(error.message, [](char c) { return c >= 0 && c < ' '; }));
  }
  return parsed;
}

}  // namespace
}  // namespace spillway::formats

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spillway;
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::vector<std::byte> content(bytes.begin(), bytes.end());
  auto parsed = formats::parse_checked(test::MemoryFile(content), {});
  const auto limited =
      formats::parse_checked(test::MemoryFile(content), {.memory_bytes = formats::kSmallLimit});
  if (parsed) {
    formats::check_tensors(*parsed, size);
    formats::check_metadata(*parsed);
    SPILLWAY_CHECK(limited || limited.error().code == ErrorCode::kBudget);
  } else {
    SPILLWAY_CHECK(!limited);
  }
  return 0;
}
