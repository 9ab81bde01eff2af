#include "model/transformer.h"

#include <array>

#include "base/check.h"

namespace spillway::model {

// What the steps of one forward pass share.
struct Transformer::Pass {
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
  // `norm`, if not null, is of x, and outlives the input.
  ops::MatmulInput input(std::span<const float> x, size_t columns,
                         const ops::InputNorm* norm = nullptr) const {
    return {.tokens = x.size() / columns,
            .columns = columns,
            .floats = x.data(),
            .quantised = nullptr,
            .norm = norm};
  }
};

size_t Transformer::ops_per_token() const {
  constexpr size_t kOfPlainLayer = 12;
  const Architecture& architecture = *config_.architecture;
  const size_t biases = architecture.qkv_bias ? 3 : 0;
  const size_t norms = (architecture.qk_norm ? 2U : 0U) + (architecture.post_norms ? 2U : 0U);
  return config_.layers * (kOfPlainLayer + biases + norms);
}

Result<void> Transformer::forward(const Batch& batch, const KvBlocks& kv, ops::Ops& ops,
                                  WeightSource& weights, Activations& activations) const {
  SPILLWAY_CHECK(batch.ids.size() <= activations.tokens && batch.outputs <= activations.outputs);
  Pass pass{kv, ops, weights, activations, batch.ids.size(), batch.first_position};
  const auto x = pass.rows(activations.residual, config_.dim);
  SPILLWAY_TRY(weights.embed(batch.ids, x));
  if (config_.embedding_scale != 1.0F) ops.scale(x, config_.embedding_scale);
  for (size_t i = 0; i < layers_.size(); ++i) {
    SPILLWAY_TRY(attention(i, pass));
    SPILLWAY_TRY(feed_forward(layers_[i], pass));
  }
  return head(batch, pass);
}

// y = W x + b, for each output: products of one input share the start and the end of a loop.
Result<void> Transformer::multiply(std::initializer_list<Output> outputs, ops::MatmulInput& input,
                                   Pass& pass) const {
  std::array<Product, ops::kMostProducts> products;
  size_t count = 0;
  for (const Output& output : outputs)
    products[count++] = {.weight = output.linear.weight, .y = output.y};
  SPILLWAY_TRY(pass.weights.multiply(std::span(products).first(count), input));
  for (const Output& output : outputs)
    if (output.linear.bias) pass.ops.add_bias(output.y, small(*output.linear.bias));
  return {};
}

void Transformer::norm(std::span<const float> x, SmallId weight, std::span<float> y,
                       Pass& pass) const {
  pass.ops.rms_norm(x, small(weight), config_.norm_epsilon, y);
}

// The norm that a product's input goes through first.
ops::InputNorm Transformer::before(SmallId weight, const Pass& pass) const {
  return {.weight = small(weight), .epsilon = config_.norm_epsilon, .out = pass.a.normed.data()};
}

ops::RopeOptions Transformer::rope(const LayerConfig& layer) const {
  const Rope& rope = layer.local_rope ? config_.local_rope : config_.rope;
  const bool factors = rope_factors_ && !layer.local_rope;
  return {.layout = config_.architecture->rope_layout,
          .dims = config_.rope_dims,
          .base = rope.base,
          .position_scale = rope.position_scale,
          .factors = factors ? small(*rope_factors_) : std::span<const float>(),
          .magnitude = rope.magnitude};
}

// q = rope(norm(W_q · norm(x))), k = norm(W_k · norm(x)), v = W_v · norm(x).
Result<void> Transformer::queries_and_keys(size_t index, Pass& pass) const {
  const Layer& layer = layers_[index];
  const auto q = pass.rows(pass.a.q, config_.q_dim());
  const auto k = pass.rows(pass.a.k, config_.kv_dim());
  const ops::InputNorm input_norm = before(layer.attention_norm, pass);
  ops::MatmulInput input =
      pass.input(pass.rows(pass.a.residual, config_.dim), config_.dim, &input_norm);
  const auto v = pass.rows(pass.a.v, config_.kv_dim());
  SPILLWAY_TRY(multiply({{layer.wq, q}, {layer.wk, k}, {layer.wv, v}}, input, pass));
  if (config_.interleave_heads) {
    pass.ops.interleave_halves(q, config_.head_dim);
    pass.ops.interleave_halves(k, config_.head_dim);
  }
  if (layer.q_norm) norm(q, *layer.q_norm, q, pass);
  if (layer.k_norm) norm(k, *layer.k_norm, k, pass);
  if (config_.layer[index].turns)
    pass.ops.rope(q, config_.heads, config_.head_dim, pass.first_position,
                  rope(config_.layer[index]));
  return {};
}

// The layer's cache takes rope(k) and v of this pass.
void Transformer::store(size_t index, const ops::KvLayer& cache, Pass& pass) const {
  const auto k = pass.rows(pass.a.k, config_.kv_dim());
  const auto v = pass.rows(pass.a.v, config_.kv_dim());
  if (config_.layer[index].turns) {
    const ops::RopeOptions options = rope(config_.layer[index]);
    pass.ops.store_turned_kv({k, v, options}, pass.first_position, cache);
  } else {
    pass.ops.store_kv(k, v, pass.first_position, cache);
  }
}

// x += norm(W_o · attention(q, k, v))
Result<void> Transformer::attention(size_t index, Pass& pass) const {
  const Layer& layer = layers_[index];
  Activations& a = pass.a;
  const auto x = pass.rows(a.residual, config_.dim);
  const auto normed = pass.rows(a.normed, config_.dim);
  const auto attended = pass.rows(a.attended, config_.q_dim());
  SPILLWAY_TRY(queries_and_keys(index, pass));

  const ops::KvLayer cache = pass.kv.layout.layer(config_, index, pass.kv.blocks);
  store(index, cache, pass);
  pass.ops.attention(pass.rows(a.q, config_.q_dim()),
                     {.heads = config_.heads,
                      .first_position = pass.first_position,
                      .scale = config_.attention_scale,
                      .window = config_.layer[index].window,
                      .soft_cap = config_.attention_soft_cap},
                     cache, attended);

  ops::MatmulInput output = pass.input(attended, config_.q_dim());
  SPILLWAY_TRY(multiply({{layer.wo, normed}}, output, pass));
  if (layer.post_attention_norm) norm(normed, *layer.post_attention_norm, normed, pass);
  pass.ops.add(x, normed);
  return {};
}

// x += norm(W_down · (act(W_gate · norm(x)) ⊙ W_up · norm(x)))
Result<void> Transformer::feed_forward(const Layer& layer, Pass& pass) const {
  Activations& a = pass.a;
  const auto x = pass.rows(a.residual, config_.dim);
  const auto normed = pass.rows(a.normed, config_.dim);
  const auto gate = pass.rows(a.gate, config_.ffn_dim);
  const auto up = pass.rows(a.up, config_.ffn_dim);

  const ops::InputNorm input_norm = before(layer.ffn_norm, pass);
  ops::MatmulInput input = pass.input(x, config_.dim, &input_norm);
  SPILLWAY_TRY(multiply({{layer.w_gate, gate}, {layer.w_up, up}}, input, pass));
  if (config_.architecture->activation == Activation::kGeglu) {
    pass.ops.geglu(gate, up);
  } else {
    pass.ops.swiglu(gate, up);
  }
  ops::MatmulInput gated = pass.input(gate, config_.ffn_dim);
  SPILLWAY_TRY(multiply({{layer.w_down, normed}}, gated, pass));
  if (layer.post_ffn_norm) norm(normed, *layer.post_ffn_norm, normed, pass);
  pass.ops.add(x, normed);
  return {};
}

// logits = cap(W_out · norm(x)), for the last tokens only.
Result<void> Transformer::head(const Batch& batch, Pass& pass) const {
  const WeightId output = weights_.size() - 1;
  if (batch.outputs == 0) return pass.weights.skip(output);
  Activations& a = pass.a;
  const auto x = pass.rows(a.residual, config_.dim).last(batch.outputs * config_.dim);
  const auto logits = a.logits.first(batch.outputs * config_.vocabulary);
  const ops::InputNorm input_norm = before(output_norm_, pass);
  ops::MatmulInput input = pass.input(x, config_.dim, &input_norm);
  const Product product{.weight = output, .y = logits};
  SPILLWAY_TRY(pass.weights.multiply(std::span(&product, 1), input));
  if (config_.final_soft_cap > 0) pass.ops.soft_cap(logits, config_.final_soft_cap);
  return {};
}

}  // namespace spillway::model
