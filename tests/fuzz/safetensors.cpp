// Any bytes as a safetensors file: what is accepted holds what safetensors.h promises.
#include "formats/safetensors.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "formats/safetensors_json.h"
#include "support/memory_file.h"

namespace spillway::formats {
namespace {

constexpr uint64_t kSmallLimit = kKiB;

void check_error(const Error& error) {
  SPILLWAY_CHECK(error.code == ErrorCode::kBadFile || error.code == ErrorCode::kBudget);
  SPILLWAY_CHECK(!error.message.empty() && error.message.size() < 2 * kKiB);
  SPILLWAY_CHECK(std::ranges::none_of(error.message, [](char c) { return c >= 0 && c < ' '; }));
}

void check_tensors(const SafetensorsHeader& header, uint64_t size_bytes) {
  uint64_t claimed_bytes = 0;
  for (const GgufTensor& tensor : header.tensors) {
    SPILLWAY_CHECK(tensor.offset <= size_bytes);
    SPILLWAY_CHECK(tensor.size_bytes <= size_bytes - tensor.offset);
    SPILLWAY_CHECK(row_bytes(tensor.dtype, tensor.columns()) * tensor.rows() == tensor.size_bytes);
    claimed_bytes += tensor.size_bytes;
  }
  SPILLWAY_CHECK(claimed_bytes <= size_bytes);
}

void check_file(std::span<const std::byte> bytes) {
  const test::MemoryFile file({bytes.begin(), bytes.end()});
  const auto header = read_safetensors(file);
  SPILLWAY_CHECK(file.bytes_read() <= bytes.size());
  const auto limited = read_safetensors(file, {.memory_bytes = kSmallLimit});
  if (!header) {
    check_error(header.error());
    SPILLWAY_CHECK(!limited);
    return;
  }
  check_tensors(*header, bytes.size());
  SPILLWAY_CHECK(limited || limited.error().code == ErrorCode::kBudget);
}

void check_index(std::string_view text) {
  HeaderMemory memory(kMiB);
  const auto map = parse_weight_map(text, memory);
  if (!map) check_error(map.error());
}

}  // namespace
}  // namespace spillway::formats

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spillway::formats;
  check_file(std::as_bytes(std::span(data, size)));
  check_index({reinterpret_cast<const char*>(data), size});
  return 0;
}
