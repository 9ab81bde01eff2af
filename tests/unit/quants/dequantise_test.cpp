// Every dtype's rows as floats, against tests/golden/quants.bin, which the gguf package made:
// python tools/make_quant_golden.py tests/golden/quants.bin
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cpu/dtypes.h"
#include "ops/ops.h"

namespace spillway::ops {
namespace {

struct Golden {
  DType dtype;
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

std::vector<Golden> read_golden() {
  std::ifstream file(SPILLWAY_SOURCE_DIR "/tests/golden/quants.bin", std::ios::binary);
  std::vector<Golden> all;
  uint32_t header[3];
  while (file.read(reinterpret_cast<char*>(header), sizeof(header))) {
    Golden golden{*dtype_from_gguf(header[0]), std::vector<std::byte>(header[1]),
                  std::vector<float>(header[2])};
    file.read(reinterpret_cast<char*>(golden.bytes.data()), header[1]);
    file.read(reinterpret_cast<char*>(golden.values.data()), header[2] * 4);
    EXPECT_TRUE(file);
    all.push_back(std::move(golden));
  }
  return all;
}

TEST(Dequantise, GivesTheFloatsOfTheGgufPackage) {
  std::set<DType> seen;
  for (const Golden& golden : read_golden()) {
    SCOPED_TRACE(dtype_info(golden.dtype).name);
    seen.insert(golden.dtype);
    ASSERT_EQ(row_bytes(golden.dtype, golden.values.size()), golden.bytes.size());
    // At an odd address: rows of a slice lie anywhere.
    std::vector<std::byte> shifted(golden.bytes.size() + 1);
    std::memcpy(shifted.data() + 1, golden.bytes.data(), golden.bytes.size());
    ThreadPool pool(1);
    for (const std::string& set : cpu_instruction_sets()) {
      std::vector<float> values(golden.values.size());
      make_cpu_ops(pool, set)->dequantise_row(golden.dtype, shifted.data() + 1, values);
      EXPECT_EQ(values, golden.values) << set;
    }
  }
  EXPECT_EQ(seen.size(), cpu::kAllDTypes.size());
}

// Unit vectors pick single weights out of a row. A 127 among zeros is exact in 8 bits.
TEST(Matmul, UnpacksTheFloatsOfTheGgufPackage) {
  ThreadPool pool(1);
  for (const Golden& golden : read_golden()) {
    SCOPED_TRACE(dtype_info(golden.dtype).name);
    const size_t columns = golden.values.size();
    const WeightRows weight{golden.dtype, golden.bytes.data(), 1, columns};
    std::vector<float> x(columns * columns, 0.0F);
    for (size_t i = 0; i < columns; ++i) x[i * columns + i] = 127.0F;
    for (const std::string& set : cpu_instruction_sets()) {
      const auto ops = make_cpu_ops(pool, set);
      std::vector<float> storage(ops->prepared_bytes(golden.dtype, columns, columns) / 4 + 16);
      MatmulInput input{.tokens = columns, .columns = columns, .floats = x.data()};
      ops->prepare_input(golden.dtype, std::as_writable_bytes(std::span(storage)), input);
      std::vector<float> y(columns);
      ops->matmul(input, weight, y.data(), 1);
      for (size_t i = 0; i < columns; ++i) {
        const float expected = golden.values[i] * 127.0F;
        ASSERT_NEAR(y[i], expected, 2e-5F * (1.0F + std::abs(expected))) << set << " at " << i;
      }
    }
  }
}

}  // namespace
}  // namespace spillway::ops
