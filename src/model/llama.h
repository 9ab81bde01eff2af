// The Llama architecture: RMSNorm, rotary embeddings, grouped-query attention, SwiGLU (Touvron et
// al., arXiv 2302.13971 and 2307.09288; Llama 3: arXiv 2407.21783). Immutable once bound; one
// thread runs a forward pass at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "model/llama_config.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace spillway::model {

// A vector of floats that stays in memory: the norms' weights, RoPE's factors.
struct SmallTensor {
  std::string name;
  uint64_t file_offset = 0;
  size_t size = 0;  // elements
  std::vector<float> values;
};

// Buffers for one forward pass of at most `tokens` tokens, of which at most `outputs` give logits.
// They lie in one block of memory that the caller owns.
class Activations {
 public:
  // Bytes that the block must have.
  static size_t size_bytes(const LlamaConfig& config, const ops::Ops& ops, size_t tokens,
                           size_t outputs);
  // `block` is 64-byte aligned and size_bytes() long.
  Activations(const LlamaConfig& config, const ops::Ops& ops, size_t tokens, size_t outputs,
              std::span<std::byte> block);

  size_t tokens;
  size_t outputs;
  std::span<float> residual;      // [tokens, dim]
  std::span<float> normed;        // [tokens, dim]
  std::span<float> q;             // [tokens, heads, head_dim]
  std::span<float> k;             // [tokens, kv_heads, head_dim]
  std::span<float> v;             // [tokens, kv_heads, head_dim]
  std::span<float> attended;      // [tokens, heads, head_dim]
  std::span<float> gate;          // [tokens, ffn_dim]
  std::span<float> up;            // [tokens, ffn_dim]
  std::span<float> logits;        // [outputs, vocabulary]
  std::span<std::byte> prepared;  // a matmul input's quantised form
};

// Where the keys and values of each layer live in the blocks of a paged cache (ops::KvLayer).
struct KvLayout {
  size_t block_tokens = 0;
  DType dtype = DType::kF16;
  size_t layer_bytes = 0;  // keys and values of one layer in one block
  size_t block_bytes = 0;

  static KvLayout of(const LlamaConfig& config, DType dtype, size_t block_tokens);
  ops::KvLayer layer(const LlamaConfig& config, size_t index,
                     std::span<std::byte* const> blocks) const;
};

// The blocks of one sequence's cache, in the order of its positions.
struct KvBlocks {
  KvLayout layout;
  std::span<std::byte* const> blocks;
};

// A few tokens of one sequence that are processed together.
struct Batch {
  std::span<const int32_t> ids;
  size_t first_position = 0;
  size_t outputs = 0;  // the last so many tokens give logits
};

class Llama {
 public:
  // Finds the weights in the file and checks their shapes. kBadFile.
  static Result<Llama> bind(const formats::GgufFile& file);

  const LlamaConfig& config() const { return config_; }
  // All matrices in the order of execution; the last is the output head.
  const std::vector<Weight>& weights() const { return weights_; }
  const Weight& embedding() const { return embedding_; }
  bool tied_embedding() const { return weights_.back().file_offset == embedding_.file_offset; }
  // To be filled with their values before the first pass.
  std::vector<SmallTensor>& small_tensors() { return small_tensors_; }
  const std::vector<SmallTensor>& small_tensors() const { return small_tensors_; }

  // One pass: fills the cache at the batch's positions and activations.logits [batch.outputs,
  // vocabulary].
  Result<void> forward(const Batch& batch, const KvBlocks& kv, ops::Ops& ops, WeightSource& weights,
                       Activations& activations) const;

 private:
  struct Layer {
    size_t attention_norm;  // indices of small tensors
    size_t ffn_norm;
    WeightId wq, wk, wv, wo;
    WeightId w_gate, w_up, w_down;
  };
  struct Pass;

  Result<void> bind_layer(const formats::GgufFile& file, size_t index);
  Result<void> attention(const Layer& layer, size_t index, Pass& pass) const;
  Result<void> feed_forward(const Layer& layer, Pass& pass) const;
  Result<void> head(const Batch& batch, Pass& pass) const;
  std::span<const float> small(size_t index) const { return small_tensors_[index].values; }

  LlamaConfig config_;
  Weight embedding_;
  std::vector<Layer> layers_;
  size_t output_norm_ = 0;
  std::optional<size_t> rope_factors_;
  std::vector<Weight> weights_;
  std::vector<SmallTensor> small_tensors_;
};

}  // namespace spillway::model
