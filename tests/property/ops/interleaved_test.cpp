// Interleaved rows are rows in another order. Bytes are random; the seed is printed.
#include "ops/interleaved.h"

#include <gtest/gtest.h>

#include <cstring>
#include <iostream>
#include <random>
#include <vector>

#include "ops/cpu/dtypes.h"

namespace spillway::ops {
namespace {

// What was interleaved comes out again, row by row.
TEST(InterleavedRows, AreTheSameBytesInAnotherOrder) {
  const unsigned seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  size_t forms = 0;
  for (const DType dtype : cpu::kAllDTypes) {
    if (!has_interleaved_form(dtype)) continue;
    ++forms;
    const size_t columns = dtype_info(dtype).block_elements * (1 + random() % 5);
    const size_t bytes = row_bytes(dtype, columns);
    std::vector<std::byte> rows(kInterleavedRows * bytes);
    for (std::byte& byte : rows) byte = static_cast<std::byte>(random());
    std::vector<std::byte> group(rows.size());
    interleave_group(dtype, columns, rows.data(), group.data());
    EXPECT_NE(group, rows) << dtype_info(dtype).name;
    std::vector<std::byte> row(bytes);
    for (size_t r = 0; r < kInterleavedRows; ++r) {
      extract_row(dtype, columns, group.data(), r, row.data());
      EXPECT_EQ(std::memcmp(row.data(), rows.data() + r * bytes, bytes), 0)
          << dtype_info(dtype).name << ", row " << r;
    }
  }
  EXPECT_EQ(forms, 8u);
}

}  // namespace
}  // namespace spillway::ops
