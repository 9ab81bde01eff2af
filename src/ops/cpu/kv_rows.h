// Where one position's key and value of a KV head lie in the paged cache. Pure functions; any
// thread.
#pragma once

#include <cstddef>

#include "ops/ops.h"
#include "tensor/dtype.h"

namespace spillway::ops::cpu {

// head_dim elements of the layer's dtype, at `offset` (keys or values) in the block of `position`.
inline std::byte* kv_row(const KvLayer& layer, size_t offset, size_t kv_head, size_t position) {
  const size_t row = kv_head * layer.block_tokens + position % layer.block_tokens;
  return layer.blocks[position / layer.block_tokens] + offset +
         row * row_bytes(layer.dtype, layer.head_dim);
}

inline std::byte* key_row(const KvLayer& layer, size_t kv_head, size_t position) {
  return kv_row(layer, layer.key_offset, kv_head, position);
}

inline std::byte* value_row(const KvLayer& layer, size_t kv_head, size_t position) {
  return kv_row(layer, layer.value_offset, kv_head, position);
}

}  // namespace spillway::ops::cpu
