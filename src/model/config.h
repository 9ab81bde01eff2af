// The numbers of a model, as a GGUF file's metadata or a Hugging Face folder's config.json gives
// them. Values; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "model/architecture.h"

namespace spillway::model {

// How heads turn with their position.
struct Rope {
  double base = 10000.0;        // theta
  double position_scale = 1.0;  // linear scaling: 1 / factor
  double magnitude = 1.0;       // LongRoPE's attention factor
  // [dims / 2] divisors of the frequencies. Empty: none, or a tensor of the file.
  std::vector<float> factors;
  bool short_factors = false;  // that tensor is LongRoPE's short one
  // LongRoPE's other factors and the positions that they are for, kept for files that are written:
  // a run stays within ModelConfig::context_length, for which the short ones are. 0: no LongRoPE.
  std::vector<float> long_factors = {};  // [dims / 2]; empty: a tensor of the file
  size_t long_context = 0;
};

struct LayerConfig {
  size_t window = 0;        // positions that a token sees, its own the last; 0: all up to its own
  bool turns = true;        // has RoPE
  bool local_rope = false;  // ModelConfig::local_rope instead of rope
};

struct ModelConfig {
  const Architecture* architecture = nullptr;
  size_t layers = 0;
  size_t dim = 0;       // of the residual stream
  size_t ffn_dim = 0;   // of the gated feed-forward layer
  size_t heads = 0;     // of queries
  size_t kv_heads = 0;  // of keys and values; divides heads
  size_t head_dim = 0;
  size_t vocabulary = 0;      // rows of the embedding table; bind() fills it in
  size_t context_length = 0;  // positions that the model was trained for
  float norm_epsilon = 1e-5F;
  size_t rope_dims = 0;  // leading dimensions of each head that turn
  Rope rope;
  Rope local_rope;
  float attention_scale = 1.0F;     // of products of queries and keys
  float attention_soft_cap = 0.0F;  // 0: none
  float final_soft_cap = 0.0F;      // of the logits; 0: none
  float embedding_scale = 1.0F;
  // The rows of q and k come in halves and are interleaved as soon as they are computed, so that
  // all that follows is the same as with a GGUF file, whose rows are interleaved.
  bool interleave_heads = false;
  float norm_offset = 0.0F;  // added to the norms' weights as they are stored
  // The embedding table is the output head; empty: where the files have no other.
  std::optional<bool> tied;
  std::vector<LayerConfig> layer;

  size_t q_dim() const { return heads * head_dim; }
  size_t kv_dim() const { return kv_heads * head_dim; }
};

// kBadFile: another architecture, a missing key, or numbers that do not fit each other.
Result<ModelConfig> read_gguf_config(const formats::GgufFile& file);
// The text of config.json.
Result<ModelConfig> read_huggingface_config(std::string_view text);

}  // namespace spillway::model
