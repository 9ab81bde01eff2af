// The JSON of a safetensors header and of its index, event by event: no tree of a stranger's text
// is ever built. Functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf_values.h"
#include "formats/safetensors.h"

namespace spillway::formats {

// One entry of a header as it is spelt; nothing of it is checked yet.
struct SafetensorsEntry {
  std::string name;
  std::string type;
  std::vector<uint64_t> shape;        // rows first
  std::array<uint64_t, 2> offsets{};  // [begin, end) from the data's start
};
inline std::string_view name_of(const SafetensorsEntry& entry) {
  return entry.name;
}

// kBadFile: not JSON, or not of the form {name: {dtype, shape, data_offsets}, …}.
Result<std::vector<SafetensorsEntry>> parse_safetensors_json(std::string_view text,
                                                             HeaderMemory& memory);

// The pairs (tensor, file name) of an index's "weight_map".
Result<WeightMap> parse_weight_map(std::string_view text, HeaderMemory& memory);

}  // namespace spillway::formats
