// A dense decoder: norms, rotary embeddings, grouped-query attention and a gated feed-forward
// layer, with what its architecture adds to that (architecture.h). Immutable once bound; one thread
// runs a forward pass at a time.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/activations.h"
#include "model/config.h"
#include "model/kv_layout.h"
#include "model/tensor_index.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace spillway::model {

// A few tokens of one sequence that are processed together.
struct Batch {
  std::span<const int32_t> ids;
  size_t first_position = 0;
  size_t outputs = 0;  // the last so many tokens give logits
};

class Transformer {
 public:
  // Finds the weights and checks their shapes. kBadFile: one is missing, has another shape, or is
  // one that the architecture does not have.
  static Result<Transformer> bind(ModelConfig config, const TensorIndex& tensors);

  const ModelConfig& config() const { return config_; }
  // All matrices in the order of execution; the last is the output head.
  const std::vector<Weight>& weights() const { return weights_; }
  const Weight& embedding() const { return embedding_; }
  bool tied_embedding() const { return weights_.back().file_offset == embedding_.file_offset; }
  // To be filled with their values before the first pass; those that the file does not hold are.
  std::vector<SmallTensor>& small_tensors() { return small_tensors_; }
  const std::vector<SmallTensor>& small_tensors() const { return small_tensors_; }

  // Norms, RoPE, attention, products … of one token: for the time that goes by per op.
  size_t ops_per_token() const;

  // One pass: fills the cache at the batch's positions and activations.logits [batch.outputs,
  // vocabulary].
  Result<void> forward(const Batch& batch, const KvBlocks& kv, ops::Ops& ops, WeightSource& weights,
                       Activations& activations) const;

 private:
  friend class Binder;
  using SmallId = size_t;  // index into the small tensors
  struct Linear {
    WeightId weight = 0;
    std::optional<SmallId> bias;
  };
  struct Layer {
    SmallId attention_norm = 0;
    SmallId ffn_norm = 0;
    std::optional<SmallId> q_norm, k_norm;
    std::optional<SmallId> post_attention_norm, post_ffn_norm;
    Linear wq, wk, wv, wo;
    Linear w_gate, w_up, w_down;
  };
  struct Pass;

  Result<void> attention(size_t index, Pass& pass) const;
  Result<void> queries_and_keys(size_t index, Pass& pass) const;
  void store(size_t index, const ops::KvLayer& cache, Pass& pass) const;
  Result<void> feed_forward(const Layer& layer, Pass& pass) const;
  Result<void> head(const Batch& batch, Pass& pass) const;
  struct Output {
    const Linear& linear;
    std::span<float> y;
  };
  Result<void> multiply(std::initializer_list<Output> outputs, ops::MatmulInput& input,
                        Pass& pass) const;
  void norm(std::span<const float> x, SmallId weight, std::span<float> y, Pass& pass) const;
  ops::InputNorm before(SmallId weight, const Pass& pass) const;
  ops::RopeOptions rope(const LayerConfig& layer) const;
  std::span<const float> small(SmallId id) const { return small_tensors_[id].values; }

  ModelConfig config_;
  Weight embedding_;
  std::vector<Layer> layers_;
  SmallId output_norm_ = 0;
  std::optional<SmallId> rope_factors_;
  std::vector<Weight> weights_;
  std::vector<SmallTensor> small_tensors_;
};

}  // namespace spillway::model
