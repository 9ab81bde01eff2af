#include "tensor/dtype.h"

#include <array>

#include "base/check.h"

namespace spillway {
namespace {

struct Entry {
  DType dtype;
  DTypeInfo info;
};

constexpr std::array kTypes = {
    Entry{DType::kF32, {"F32", 1, 4}},           Entry{DType::kF16, {"F16", 1, 2}},
    Entry{DType::kBF16, {"BF16", 1, 2}},         Entry{DType::kQ4_0, {"Q4_0", 32, 18}},
    Entry{DType::kQ4_1, {"Q4_1", 32, 20}},       Entry{DType::kQ5_0, {"Q5_0", 32, 22}},
    Entry{DType::kQ5_1, {"Q5_1", 32, 24}},       Entry{DType::kQ8_0, {"Q8_0", 32, 34}},
    Entry{DType::kQ2_K, {"Q2_K", 256, 84}},      Entry{DType::kQ3_K, {"Q3_K", 256, 110}},
    Entry{DType::kQ4_K, {"Q4_K", 256, 144}},     Entry{DType::kQ5_K, {"Q5_K", 256, 176}},
    Entry{DType::kQ6_K, {"Q6_K", 256, 210}},     Entry{DType::kIQ2_XXS, {"IQ2_XXS", 256, 66}},
    Entry{DType::kIQ2_XS, {"IQ2_XS", 256, 74}},  Entry{DType::kIQ3_XXS, {"IQ3_XXS", 256, 98}},
    Entry{DType::kIQ1_S, {"IQ1_S", 256, 50}},    Entry{DType::kIQ4_NL, {"IQ4_NL", 32, 18}},
    Entry{DType::kIQ3_S, {"IQ3_S", 256, 110}},   Entry{DType::kIQ2_S, {"IQ2_S", 256, 82}},
    Entry{DType::kIQ4_XS, {"IQ4_XS", 256, 136}}, Entry{DType::kIQ1_M, {"IQ1_M", 256, 56}},
    Entry{DType::kTQ1_0, {"TQ1_0", 256, 54}},    Entry{DType::kTQ2_0, {"TQ2_0", 256, 66}},
    Entry{DType::kMXFP4, {"MXFP4", 32, 17}},
};

}  // namespace

const DTypeInfo& dtype_info(DType dtype) {
  for (const Entry& entry : kTypes) {
    if (entry.dtype == dtype) return entry.info;
  }
  check_failed(__FILE__, __LINE__, "dtype is one of kTypes");
}

std::optional<DType> dtype_from_gguf(uint32_t number) {
  for (const Entry& entry : kTypes) {
    if (static_cast<uint32_t>(entry.dtype) == number) return entry.dtype;
  }
  return std::nullopt;
}

size_t row_bytes(DType dtype, size_t columns) {
  const DTypeInfo& info = dtype_info(dtype);
  SPILLWAY_DCHECK(columns % info.block_elements == 0);
  return columns / info.block_elements * info.block_bytes;
}

}  // namespace spillway
