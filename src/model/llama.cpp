#include "model/llama.h"

#include <cmath>

#include "base/check.h"

namespace spillway::model {

// What the steps of one forward pass share.
struct Llama::Pass {
  const KvBlocks& kv;
  ops::Ops& ops;
  WeightSource& weights;
  Activations& a;
  size_t tokens;
  size_t first_position;

  // The first `tokens` rows of a buffer whose rows are `width` long.
  std::span<float> rows(std::span<float> buffer, size_t width) const {
    return buffer.first(tokens * width);
  }
  ops::MatmulInput input(std::span<const float> x, size_t columns) const {
    return {.tokens = x.size() / columns, .columns = columns, .floats = x.data()};
  }
};

Result<void> Llama::forward(const Batch& batch, const KvBlocks& kv, ops::Ops& ops,
                            WeightSource& weights, Activations& activations) const {
  SPILLWAY_CHECK(batch.ids.size() <= activations.tokens && batch.outputs <= activations.outputs);
  Pass pass{kv, ops, weights, activations, batch.ids.size(), batch.first_position};
  SPILLWAY_TRY(weights.embed(batch.ids, pass.rows(activations.residual, config_.dim)));
  for (size_t i = 0; i < layers_.size(); ++i) {
    SPILLWAY_TRY(attention(layers_[i], i, pass));
    SPILLWAY_TRY(feed_forward(layers_[i], pass));
  }
  return head(batch, pass);
}

// x += W_o · attention(rope(W_q · norm(x)), rope(W_k · norm(x)), W_v · norm(x))
Result<void> Llama::attention(const Layer& layer, size_t index, Pass& pass) const {
  Activations& a = pass.a;
  const auto x = pass.rows(a.residual, config_.dim);
  const auto normed = pass.rows(a.normed, config_.dim);
  const auto q = pass.rows(a.q, config_.q_dim());
  const auto k = pass.rows(a.k, config_.kv_dim());
  const auto v = pass.rows(a.v, config_.kv_dim());
  const auto attended = pass.rows(a.attended, config_.q_dim());

  pass.ops.rms_norm(x, small(layer.attention_norm), config_.norm_epsilon, normed);
  ops::MatmulInput input = pass.input(normed, config_.dim);
  SPILLWAY_TRY(pass.weights.multiply(layer.wq, input, q));
  SPILLWAY_TRY(pass.weights.multiply(layer.wk, input, k));
  SPILLWAY_TRY(pass.weights.multiply(layer.wv, input, v));

  // llama-architecture files have their rows permuted for interleaved pairs.
  const ops::RopeOptions rope{
      .layout = ops::RopeLayout::kInterleaved,
      .dims = config_.rope_dims,
      .base = config_.rope_base,
      .position_scale = config_.rope_position_scale,
      .factors = rope_factors_ ? small(*rope_factors_) : std::span<const float>(),
  };
  pass.ops.rope(q, config_.heads, config_.head_dim, pass.first_position, rope);
  pass.ops.rope(k, config_.kv_heads, config_.head_dim, pass.first_position, rope);

  const ops::KvLayer cache = pass.kv.layout.layer(config_, index, pass.kv.blocks);
  pass.ops.store_kv(k, v, pass.first_position, cache);
  const float scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim));
  const ops::AttentionOptions heads{config_.heads, pass.first_position, scale};
  pass.ops.attention(q, heads, cache, attended);

  ops::MatmulInput output = pass.input(attended, config_.q_dim());
  SPILLWAY_TRY(pass.weights.multiply(layer.wo, output, normed));
  pass.ops.add(x, normed);
  return {};
}

// x += W_down · (silu(W_gate · norm(x)) ⊙ W_up · norm(x))
Result<void> Llama::feed_forward(const Layer& layer, Pass& pass) const {
  Activations& a = pass.a;
  const auto x = pass.rows(a.residual, config_.dim);
  const auto normed = pass.rows(a.normed, config_.dim);
  const auto gate = pass.rows(a.gate, config_.ffn_dim);
  const auto up = pass.rows(a.up, config_.ffn_dim);

  pass.ops.rms_norm(x, small(layer.ffn_norm), config_.norm_epsilon, normed);
  ops::MatmulInput input = pass.input(normed, config_.dim);
  SPILLWAY_TRY(pass.weights.multiply(layer.w_gate, input, gate));
  SPILLWAY_TRY(pass.weights.multiply(layer.w_up, input, up));
  pass.ops.swiglu(gate, up);
  ops::MatmulInput gated = pass.input(gate, config_.ffn_dim);
  SPILLWAY_TRY(pass.weights.multiply(layer.w_down, gated, normed));
  pass.ops.add(x, normed);
  return {};
}

// logits = W_out · norm(x), for the last tokens only.
Result<void> Llama::head(const Batch& batch, Pass& pass) const {
  const WeightId output = weights_.size() - 1;
  if (batch.outputs == 0) return pass.weights.skip(output);
  Activations& a = pass.a;
  const auto x = pass.rows(a.residual, config_.dim).last(batch.outputs * config_.dim);
  const auto normed = a.normed.first(batch.outputs * config_.dim);
  pass.ops.rms_norm(x, small(output_norm_), config_.norm_epsilon, normed);
  ops::MatmulInput input = pass.input(normed, config_.dim);
  return pass.weights.multiply(output, input, a.logits.first(batch.outputs * config_.vocabulary));
}

}  // namespace spillway::model
