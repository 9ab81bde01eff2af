// Rows of floats as rows of a dtype: Q4_0 to Q8_0 bit for bit as the gguf package writes them
// (python tools/make_quant_golden.py tests/golden), the K formats by how near they come.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <vector>

#include "ops/quantise/weight_quantiser.h"
#include "support/random_weights.h"

namespace spillway::ops {
namespace {

constexpr DType kWritten[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0,
                              DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                              DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

std::vector<std::byte> quantised(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> row(row_bytes(dtype, values.size()));
  weight_quantiser(dtype)(values.data(), row.data(), values.size());
  return row;
}

std::vector<float> there_and_back(DType dtype, const std::vector<float>& values) {
  const auto row = quantised(dtype, values);
  std::vector<float> back(values.size());
  weight_dequantiser(dtype)(row.data(), back.data(), back.size());
  return back;
}

// Root mean square of the error over that of the values.
double relative_error(DType dtype, const std::vector<float>& values) {
  const auto back = there_and_back(dtype, values);
  double error = 0;
  double size = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(static_cast<double>(back[i]) - static_cast<double>(values[i]), 2);
    size += std::pow(static_cast<double>(values[i]), 2);
  }
  return std::sqrt(error / size);
}

// As tools/make_quant_golden.py makes them.
std::vector<float> golden_values() {
  constexpr size_t kValues = 32768;
  std::vector<float> values;
  uint64_t state = 1;
  for (size_t i = 0; i < kValues; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const float value =
        static_cast<float>(static_cast<int64_t>(state >> 40) - (1 << 23)) * 0x1p-22F;
    values.push_back(value * value * value);
  }
  return values;
}

TEST(Quantise, BytesAreThoseOfTheGgufPackage) {
  const auto values = golden_values();
  std::ifstream file(SPILLWAY_SOURCE_DIR "/tests/golden/quantised_hashes.txt");
  uint32_t number = 0;
  uint64_t expected = 0;
  size_t seen = 0;
  while (file >> number >> expected) {
    const DType dtype = *dtype_from_gguf(number);
    uint64_t hash = 0;
    const auto row = quantised(dtype, values);
    for (size_t i = 0; i < row.size(); ++i) hash += (i + 1) * std::to_integer<uint64_t>(row[i]);
    EXPECT_EQ(hash, expected) << dtype_info(dtype).name;
    ++seen;
  }
  EXPECT_EQ(seen, 7U);
}

TEST(Quantise, KFormatsComeNear) {
  std::mt19937 random(20240607);
  const auto values = testing::random_floats(random, 64 * 1024, 0.02F);
  EXPECT_LT(relative_error(DType::kQ4_K, values), 0.075);
  EXPECT_LT(relative_error(DType::kQ5_K, values), 0.038);
  EXPECT_LT(relative_error(DType::kQ6_K, values), 0.019);
}

TEST(Quantise, EdgesStayFinite) {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  const std::vector<std::vector<float>> rows = {
      std::vector<float>(256, 0.0F),    std::vector<float>(256, 1.0F),
      std::vector<float>(256, -1.0F),   std::vector<float>(256, kTiny),
      std::vector<float>(256, -1e-39F), std::vector<float>(256, 60000.0F)};
  for (const DType dtype : kWritten) {
    for (std::vector<float> row : rows) {
      for (const bool odd : {false, true}) {
        if (odd) row[7] = -row[7];
        const auto back = there_and_back(dtype, row);
        for (size_t i = 0; i < row.size(); ++i)
          ASSERT_NEAR(back[i], row[i], 1e-6F + std::abs(row[i]) * 0.15F)
              << dtype_info(dtype).name << " " << row[0] << " at " << i;
      }
    }
  }
}

TEST(Quantise, OneLargeValueAmongSmallOnes) {
  for (const DType dtype : kWritten) {
    std::vector<float> row(256, 0.5F);
    row[100] = 8.0F;
    const auto back = there_and_back(dtype, row);
    EXPECT_NEAR(back[100], 8.0F, 0.3F) << dtype_info(dtype).name;
    EXPECT_NEAR(back[0], 0.5F, 0.05F) << dtype_info(dtype).name;
  }
}

TEST(Quantise, Bf16RoundsToNearestEven) {
  const std::vector<float> values = {std::bit_cast<float>(0x3F808000U),
                                     std::bit_cast<float>(0x3F818000U),
                                     std::bit_cast<float>(0x3F808001U)};
  const auto row = quantised(DType::kBF16, values);
  const auto word = [&](size_t i) {
    return std::to_integer<unsigned>(row[2 * i]) | std::to_integer<unsigned>(row[2 * i + 1]) << 8;
  };
  EXPECT_EQ(word(0), 0x3F80U);
  EXPECT_EQ(word(1), 0x3F82U);
  EXPECT_EQ(word(2), 0x3F81U);
}

TEST(Quantise, OthersAreNotWritten) {
  EXPECT_EQ(weight_quantiser(DType::kIQ2_XS), nullptr);
  EXPECT_EQ(weight_quantiser(DType::kQ2_K), nullptr);
}

}  // namespace
}  // namespace spillway::ops
