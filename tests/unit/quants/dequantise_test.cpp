// Every dtype's rows as floats, against what the gguf package made of the same bytes:
// python tools/make_quant_golden.py tests/golden
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cpu/dtypes.h"
#include "ops/ops.h"
#include "support/random_weights.h"

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

// As tools/make_quant_golden.py makes them.
std::vector<std::byte> many_blocks(DType dtype) {
  constexpr size_t kBlocks = 1024;
  const size_t block_bytes = dtype_info(dtype).block_bytes;
  std::vector<std::byte> bytes(kBlocks * block_bytes);
  uint64_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<std::byte>(state >> 56);
  }
  for (size_t at = 0; at < bytes.size(); at += block_bytes) {
    for (const size_t offset : testing::scale_offsets(dtype))
      testing::store_half(cpu::f32_to_f16(0.1F), bytes.data() + at + offset);
    if (dtype == DType::kIQ1_M) bytes[at + 55] = (bytes[at + 55] & std::byte{15}) | std::byte{32};
  }
  return bytes;
}

TEST(Dequantise, GivesTheFloatsOfTheGgufPackageForEveryEntryOfACodebook) {
  std::ifstream file(SPILLWAY_SOURCE_DIR "/tests/golden/quant_hashes.txt");
  ThreadPool pool(1);
  const auto ops = make_cpu_ops(pool);
  uint32_t number = 0;
  uint64_t expected = 0;
  size_t seen = 0;
  while (file >> number >> expected) {
    const DType dtype = *dtype_from_gguf(number);
    const std::vector<std::byte> bytes = many_blocks(dtype);
    std::vector<float> values(bytes.size() / dtype_info(dtype).block_bytes *
                              dtype_info(dtype).block_elements);
    ops->dequantise_row(dtype, bytes.data(), values);
    uint64_t hash = 0;
    for (size_t i = 0; i < values.size(); ++i) hash += (i + 1) * std::bit_cast<uint32_t>(values[i]);
    EXPECT_EQ(hash, expected) << dtype_info(dtype).name;
    ++seen;
  }
  EXPECT_EQ(seen, cpu::kAllDTypes.size() - 3);  // all but the floats
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
