// The header of a safetensors file in the making. Functions; any thread.
#pragma once

#include <span>
#include <string>

#include "formats/gguf.h"

namespace spillway::formats {

// The length and the JSON of a file that holds these tensors one behind the other, without gaps;
// offsets and sizes of `tensors` are not looked at. Padded so that the data begins at a page: more
// of it can then be read past the page cache. F32, F16 and BF16 only; names are UTF-8.
std::string safetensors_header(std::span<const GgufTensor> tensors);

}  // namespace spillway::formats
