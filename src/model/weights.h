// What an architecture asks of its weights: products with matrices, rows of the embedding table,
// and small vectors. Where their bytes live, and how they come, is the business of whoever
// implements WeightSource.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/ops.h"
#include "tensor/dtype.h"

namespace spillway::model {

// A matrix that a forward pass multiplies with: where it lies in the file. It may be some rows of a
// tensor that holds several matrices.
struct Weight {
  std::string name;
  DType dtype = DType::kF32;
  size_t rows = 0;
  size_t columns = 0;
  uint64_t file_offset = 0;

  size_t size_bytes() const { return rows * row_bytes(dtype, columns); }
};

using WeightId = size_t;  // index into the weights in order of execution

// A vector of floats that stays in memory: a norm's weights, a bias, RoPE's factors.
struct SmallTensor {
  std::string name;
  DType dtype = DType::kF32;  // in the file: F32, F16 or BF16
  uint64_t file_offset = 0;
  size_t size = 0;      // elements
  float offset = 0.0F;  // added to what the file holds
  std::vector<float> values;
};

// y[t, r] = Σ_c weight[r, c] × input[t, c]; y [tokens, rows].
struct Product {
  WeightId weight = 0;
  std::span<float> y;
};

// One thread. Weights are asked for in the order of execution, each once a pass.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Products of one input with weights that follow each other, at most ops::kMostProducts. Prepares
  // the input.
  virtual Result<void> multiply(std::span<const Product> products, ops::MatmulInput& input) = 0;
  // This pass does not need the weight.
  virtual Result<void> skip(WeightId weight) = 0;
  // Rows of the embedding table as floats: out [ids.size(), dim].
  virtual Result<void> embed(std::span<const int32_t> ids, std::span<float> out) = 0;
};

}  // namespace spillway::model
