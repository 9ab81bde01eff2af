// Where the keys and values of each layer live in the blocks of a paged cache (ops::KvLayer).
// Values; any thread.
#pragma once

#include <cstddef>
#include <span>

#include "model/config.h"
#include "ops/ops.h"

namespace spillway::model {

struct KvLayout {
  size_t block_tokens = 0;
  DType dtype = DType::kF16;
  size_t layer_bytes = 0;  // keys and values of one layer in one block
  size_t block_bytes = 0;

  // dtype is one of ops::kKvDTypes, and head_dim whole blocks of it (fits()).
  static KvLayout of(const ModelConfig& config, DType dtype, size_t block_tokens);
  // kUsage: heads of this model cannot be kept in the dtype.
  static Result<void> fits(const ModelConfig& config, DType dtype);
  ops::KvLayer layer(const ModelConfig& config, size_t index,
                     std::span<std::byte* const> blocks) const;
};

// The blocks of one sequence's cache, in the order of its positions.
struct KvBlocks {
  KvLayout layout;
  std::span<std::byte* const> blocks;
};

}  // namespace spillway::model
