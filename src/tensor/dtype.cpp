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
    Entry{DType::kF32, {"F32", 1, 4}},       Entry{DType::kF16, {"F16", 1, 2}},
    Entry{DType::kBF16, {"BF16", 1, 2}},     Entry{DType::kQ4_0, {"Q4_0", 32, 18}},
    Entry{DType::kQ4_1, {"Q4_1", 32, 20}},   Entry{DType::kQ5_0, {"Q5_0", 32, 22}},
    Entry{DType::kQ5_1, {"Q5_1", 32, 24}},   Entry{DType::kQ8_0, {"Q8_0", 32, 34}},
    Entry{DType::kQ2_K, {"Q2_K", 256, 84}},  Entry{DType::kQ3_K, {"Q3_K", 256, 110}},
    Entry{DType::kQ4_K, {"Q4_K", 256, 144}}, Entry{DType::kQ5_K, {"Q5_K", 256, 176}},
    Entry{DType::kQ6_K, {"Q6_K", 256, 210}},
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
