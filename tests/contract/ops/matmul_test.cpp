#include <array>
#include <vector>

#include "../../support/ops_storage.h"
#include "../../support/random_weights.h"
#include "ops/cpu/prepared.h"
#include "ops_contract.h"

namespace spillway::ops {
namespace {

using testing::Prepared;
using testing::prepared_storage;
using testing::random_floats;
using testing::random_weights;

struct Shape {
  size_t tokens, rows, columns;
};

std::vector<Shape> shapes(DType dtype) {
  const size_t block = dtype_info(dtype).block_elements;
  const size_t small = block == 1 ? 5 : block;
  return {{1, 1, 256},        {1, 37, 1280}, {3, 6, 2304},    {21, 19, 1280},
          {5, 9, 18 * block}, {2, 3, small}, {17, 16, small}, {2, 5, block == 1 ? 83 : 2 * block}};
}

// What the quantised input stands for, or the floats themselves.
std::vector<double> seen_input(const MatmulInput& input) {
  if (input.quantised == nullptr)
    return {input.floats, input.floats + input.tokens * input.columns};
  std::vector<double> x;
  for (size_t t = 0; t < input.tokens; ++t) {
    const auto token = cpu::prepared_token(input.quantised, t, input.columns);
    for (size_t c = 0; c < input.columns; ++c)
      x.push_back(static_cast<double>(token.scales[c / 32]) * token.values[c]);
  }
  return x;
}

std::vector<double> product_in_double(Ops& ops, const MatmulInput& input,
                                      const WeightRows& weight) {
  const std::vector<double> x = seen_input(input);
  std::vector<double> y(input.tokens * weight.rows);
  std::vector<float> w(weight.columns);
  for (size_t r = 0; r < weight.rows; ++r) {
    ops.dequantise_row(weight.dtype, weight.data + r * row_bytes(weight.dtype, weight.columns), w);
    for (size_t t = 0; t < input.tokens; ++t) {
      for (size_t c = 0; c < weight.columns; ++c)
        y[t * weight.rows + r] += static_cast<double>(w[c]) * x[t * weight.columns + c];
    }
  }
  return y;
}

}  // namespace

TEST_P(OpsContract, MatmulIsTheSumOfProductsForEveryDType) {
  for (const DType dtype : cpu::kAllDTypes) {
    for (const Shape& shape : shapes(dtype)) {
      SCOPED_TRACE(std::string(dtype_info(dtype).name) + " × " + std::to_string(shape.columns));
      // One byte of padding in front: weights come at any alignment.
      std::vector<std::byte> weights = random_weights(random_, dtype, shape.rows * shape.columns);
      weights.insert(weights.begin(), std::byte{0});
      const WeightRows weight{dtype, weights.data() + 1, shape.rows, shape.columns};
      std::vector<float> x = random_floats(random_, shape.tokens * shape.columns);
      // The first token's numbers are far from zero on average: formats' centres must not show.
      for (size_t c = 0; c < shape.columns; ++c) x[c] += 10.0F;
      MatmulInput input{.tokens = shape.tokens, .columns = shape.columns, .floats = x.data()};
      Prepared prepared =
          prepared_storage(ops_->prepared_bytes(dtype, shape.tokens, shape.columns));
      ops_->prepare_input(dtype, prepared.bytes, input);

      const size_t stride = shape.rows + 3;
      constexpr float kUntouched = 12345.0F;
      std::vector<float> y(shape.tokens * stride, kUntouched);
      ops_->matmul(input, weight, y.data(), stride);

      std::vector<float> packed;
      for (size_t t = 0; t < shape.tokens; ++t) {
        packed.insert(packed.end(), y.data() + t * stride, y.data() + t * stride + shape.rows);
        for (size_t i = shape.rows; i < stride; ++i) EXPECT_EQ(y[t * stride + i], kUntouched);
      }
      expect_close(packed, product_in_double(*scalar_, input, weight), 5e-6);
    }
  }
}

// Matrices of any shape and type, one of them empty, are named as those of the next matmul.
TEST_P(OpsContract, WhatComesSoonChangesNothing) {
  const size_t columns = 256;
  const std::vector<std::byte> weights = random_weights(random_, DType::kQ8_0, 100 * columns);
  const WeightRows weight{DType::kQ8_0, weights.data(), 100, columns};
  const std::vector<float> x = random_floats(random_, columns);
  MatmulInput input{.tokens = 1, .columns = columns, .floats = x.data()};
  Prepared prepared = prepared_storage(ops_->prepared_bytes(DType::kQ8_0, 1, columns));
  ops_->prepare_input(DType::kQ8_0, prepared.bytes, input);
  std::vector<float> alone(100);
  ops_->matmul(input, weight, alone.data(), 100);
  const Product next[] = {{{DType::kQ6_K, weights.data(), 7, 512}, nullptr, 0},
                          {{DType::kF32, weights.data(), 0, 64}, nullptr, 0},
                          {{DType::kF16, weights.data(), 1000, 8}, nullptr, 0}};
  for (size_t count = 0; count <= 3; ++count) {
    std::vector<float> y(100);
    const Product now{weight, y.data(), 100};
    ops_->matmul(input, std::span(&now, 1), std::span(next).first(count));
    EXPECT_EQ(y, alone);
  }
}

TEST_P(OpsContract, QuantisedInputIsTheSameInEveryInstructionSet) {
  const size_t columns = 320;
  std::vector<float> x = random_floats(random_, 3 * columns, 5.0F);
  std::fill(x.begin() + 32, x.begin() + 64, 0.0F);    // a block of zeros
  std::fill(x.begin() + 64, x.begin() + 96, 1e-38F);  // too small to count
  x[100] = 3e38F;                                     // one giant
  std::array<std::vector<std::byte>, 2> results;
  size_t i = 0;
  for (Ops* ops : {ops_.get(), scalar_.get()}) {
    MatmulInput input{.tokens = 3, .columns = columns, .floats = x.data()};
    Prepared prepared = prepared_storage(ops->prepared_bytes(DType::kQ8_0, 3, columns));
    ops->prepare_input(DType::kQ4_K, prepared.bytes, input);
    ASSERT_EQ(input.quantised, prepared.bytes.data());
    results[i++].assign(prepared.bytes.begin(), prepared.bytes.end());
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_P(OpsContract, QuantisedInputIsWithinHalfAStepPer32Columns) {
  const size_t columns = 256;
  const std::vector<float> x = random_floats(random_, columns);
  MatmulInput input{.tokens = 1, .columns = columns, .floats = x.data()};
  Prepared prepared = prepared_storage(ops_->prepared_bytes(DType::kQ8_0, 1, columns));
  ops_->prepare_input(DType::kQ8_0, prepared.bytes, input);
  const std::vector<double> seen = seen_input(input);
  for (size_t block = 0; block < columns; block += 32) {
    float largest = 0.0F;
    for (size_t c = block; c < block + 32; ++c) largest = std::max(largest, std::abs(x[c]));
    for (size_t c = block; c < block + 32; ++c)
      EXPECT_NEAR(seen[c], static_cast<double>(x[c]), static_cast<double>(largest) * 0.501 / 127);
  }
}

TEST_P(OpsContract, FloatWeightsNeedNoPreparation) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    EXPECT_EQ(ops_->prepared_bytes(dtype, 7, 64), 0U);
    MatmulInput input{.tokens = 7, .columns = 64};
    ops_->prepare_input(dtype, {}, input);
    EXPECT_EQ(input.quantised, nullptr);
  }
}

TEST_P(OpsContract, PreparedBytesAreTheSameForEveryQuantisedDType) {
  for (const DType dtype : cpu::kAllDTypes) {
    if (dtype_info(dtype).block_elements == 1) continue;
    EXPECT_EQ(ops_->prepared_bytes(dtype, 5, 768), ops_->prepared_bytes(DType::kQ8_0, 5, 768));
  }
}

}  // namespace spillway::ops
