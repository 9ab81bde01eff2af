#include "model/config.h"

#include <cmath>

#include "model/config_values.h"

namespace spillway::model {

std::vector<LayerConfig> usual_layers(const Architecture& architecture, size_t layers,
                                      size_t window, size_t full_attention_every) {
  std::vector<LayerConfig> result(layers);
  for (size_t i = 0; i < layers; ++i) {
    const bool full = full_attention_every > 0 && (i + 1) % full_attention_every == 0;
    result[i].window = full ? 0 : window;
    result[i].turns = architecture.no_rope_every == 0 || (i + 1) % architecture.no_rope_every != 0;
  }
  return result;
}

Result<void> complete(ModelConfig& config) {
  if (config.kv_heads == 0 || config.heads % config.kv_heads != 0) {
    return fail(ErrorCode::kBadFile,
                "{} heads of keys and values do not divide the {} heads of queries",
                config.kv_heads, config.heads);
  }
  if (config.head_dim == 0 || config.head_dim > kMaxSize) {
    return fail(ErrorCode::kBadFile, "heads of {} dimensions are not supported", config.head_dim);
  }
  if (config.rope_dims % 2 != 0 || config.rope_dims > config.head_dim) {
    return fail(ErrorCode::kBadFile,
                "{} dimensions of each head turn (RoPE); the number must be even and at most {}",
                config.rope_dims, config.head_dim);
  }
  for (const auto* factors : {&config.rope.factors, &config.rope.long_factors}) {
    if (factors->empty() || factors->size() == config.rope_dims / 2) continue;
    return fail(ErrorCode::kBadFile, "{} RoPE factors for {} pairs of dimensions", factors->size(),
                config.rope_dims / 2);
  }
  if (config.interleave_heads &&
      (config.head_dim % 2 != 0 || config.head_dim > ops::kMostInterleaved)) {
    return fail(ErrorCode::kBadFile,
                "heads of {} dimensions are not supported; they must be even and at most {}",
                config.head_dim, ops::kMostInterleaved);
  }
  const Architecture& architecture = *config.architecture;
  if (architecture.scaled_embedding)
    config.embedding_scale = std::sqrt(static_cast<float>(config.dim));
  for (LayerConfig& layer : config.layer)
    layer.local_rope = architecture.local_rope_base > 0 && layer.window > 0;
  return {};
}

}  // namespace spillway::model
