#include "formats/safetensors_writer.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/units.h"

namespace spillway::formats {
namespace {

constexpr uint64_t kPage = 4096;

}  // namespace

std::string safetensors_header(std::span<const GgufTensor> tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    SPILLWAY_CHECK(dtype_info(tensor.dtype).block_elements == 1);
    const uint64_t end = offset + tensor.rows() * row_bytes(tensor.dtype, tensor.columns());
    header[tensor.name] = {
        {"dtype", dtype_info(tensor.dtype).name},
        {"shape", std::vector<uint64_t>(tensor.dimensions.rbegin(), tensor.dimensions.rend())},
        {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  uint64_t length = text.size();
  length += round_up(length + sizeof length, kPage) - (length + sizeof length);
  text.resize(static_cast<size_t>(length), ' ');
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text;
}

}  // namespace spillway::formats
