// The element types of tensors, as GGUF numbers them, and how many bytes their rows take. Computes
// nothing else. Source of the numbers and block sizes: the GGUF specification (ggml's ggml_type).
// Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway {

enum class DType : uint8_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

struct DTypeInfo {
  std::string_view name;  // "Q4_1"
  size_t block_elements;  // elements that share one block; rows are whole blocks
  size_t block_bytes;
};

const DTypeInfo& dtype_info(DType dtype);

// The type with this number in a GGUF file; none if we do not know it.
std::optional<DType> dtype_from_gguf(uint32_t number);

// Bytes of one row of `columns` elements; columns is a multiple of block_elements.
size_t row_bytes(DType dtype, size_t columns);

}  // namespace spillway
