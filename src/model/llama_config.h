// The numbers of a Llama-family model (SmolLM2, Llama 2 and 3, Mistral) as a GGUF file names them.
// Values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "formats/gguf.h"

namespace spillway::model {

struct LlamaConfig {
  size_t layers = 0;
  size_t dim = 0;       // of the residual stream
  size_t ffn_dim = 0;   // of the gated feed-forward layer
  size_t heads = 0;     // of queries
  size_t kv_heads = 0;  // of keys and values; divides heads
  size_t head_dim = 0;
  size_t vocabulary = 0;
  size_t context_length = 0;  // positions that the model was trained for
  float norm_epsilon = 1e-5F;
  size_t rope_dims = 0;        // leading dimensions of each head that turn
  double rope_base = 10000.0;  // theta
  double rope_position_scale = 1.0;

  size_t q_dim() const { return heads * head_dim; }
  size_t kv_dim() const { return kv_heads * head_dim; }
};

// kBadFile: another architecture, a missing key, or numbers that do not fit each other.
Result<LlamaConfig> read_llama_config(const formats::GgufFile& file);

}  // namespace spillway::model
