#include "model/kv_layout.h"

namespace spillway::model {

Result<void> KvLayout::fits(const ModelConfig& config, DType dtype) {
  const DTypeInfo& info = dtype_info(dtype);
  if (config.head_dim % info.block_elements == 0) return {};
  return fail(ErrorCode::kUsage,
              "a KV cache in {} needs heads of a multiple of {} dimensions; this model's have {}. "
              "Take f16",
              info.name, info.block_elements, config.head_dim);
}

KvLayout KvLayout::of(const ModelConfig& config, DType dtype, size_t block_tokens) {
  KvLayout layout{.block_tokens = block_tokens, .dtype = dtype};
  layout.layer_bytes = 2 * block_tokens * row_bytes(dtype, config.kv_dim());
  layout.block_bytes = config.layers * layout.layer_bytes;
  return layout;
}

ops::KvLayer KvLayout::layer(const ModelConfig& config, size_t index,
                             std::span<std::byte* const> blocks) const {
  return {.blocks = blocks,
          .key_offset = index * layer_bytes,
          .value_offset = index * layer_bytes + layer_bytes / 2,
          .block_tokens = block_tokens,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .dtype = dtype};
}

}  // namespace spillway::model
