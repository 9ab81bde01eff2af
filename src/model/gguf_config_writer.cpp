#include <algorithm>
#include <cmath>

#include "model/config_values.h"
#include "model/config_writer.h"

namespace spillway::model {
namespace {

// Adds keys of one architecture.
class Writer {
 public:
  Writer(formats::GgufHeader& header, std::string_view prefix) : header_(header), prefix_(prefix) {}

  void size(std::string_view key, size_t value) { add(key, static_cast<uint32_t>(value)); }
  void number(std::string_view key, double value) { add(key, static_cast<float>(value)); }
  template <typename Value>
  void add(std::string_view key, const Value& value) {
    header_.add(fmt::format("{}.{}", prefix_, key), value);
  }

 private:
  formats::GgufHeader& header_;
  std::string_view prefix_;
};

size_t widest_window(const ModelConfig& config) {
  size_t window = 0;
  for (const LayerConfig& layer : config.layer) window = std::max(window, layer.window);
  return window;
}

Result<void> add_windows(const ModelConfig& config, Writer& to) {
  const Architecture& architecture = *config.architecture;
  const size_t window = widest_window(config);
  if (window == 0 && architecture.window == 0) return {};
  to.size("attention.sliding_window", window);
  const auto usual =
      usual_layers(architecture, config.layers, window, architecture.full_attention_every);
  const auto same = [](const LayerConfig& a, const LayerConfig& b) { return a.window == b.window; };
  if (std::ranges::equal(usual, config.layer, same)) return {};
  std::vector<bool> slides;
  for (const LayerConfig& layer : config.layer) {
    if (layer.window != 0 && layer.window != window) {
      return fail(ErrorCode::kBadFile, "layers with windows of {} and of {} positions", window,
                  layer.window);
    }
    slides.push_back(layer.window != 0);
  }
  to.add("attention.sliding_window_pattern", slides);
  return {};
}

void add_rope(const ModelConfig& config, Writer& to) {
  to.size("rope.dimension_count", config.rope_dims);
  to.number("rope.freq_base", config.rope.base);
  if (config.architecture->local_rope_base > 0) {
    to.number("rope.freq_base_swa", config.local_rope.base);
  }
  if (config.rope.long_context > 0) {
    to.add("rope.scaling.type", "longrope");
    to.size("rope.scaling.original_context_length", config.context_length);
    to.number("rope.scaling.attn_factor", config.rope.magnitude);
  }
  if (config.rope.position_scale != 1.0) {
    to.add("rope.scaling.type", "linear");
    to.number("rope.scaling.factor", 1.0 / config.rope.position_scale);
  }
}

}  // namespace

float usual_attention_scale(const ModelConfig& config) {
  const bool widest = config.layers == config.architecture->layers_of_widest;
  const size_t scaled_by = widest ? config.dim / config.heads : config.head_dim;
  return 1.0F / std::sqrt(static_cast<float>(scaled_by));
}

Result<void> add_gguf_config(const ModelConfig& config, formats::GgufHeader& header) {
  const Architecture& architecture = *config.architecture;
  header.add("general.architecture", architecture.name);
  Writer to(header, architecture.name);
  to.size("block_count", config.layers);
  to.size("context_length", std::max(config.context_length, config.rope.long_context));
  to.size("embedding_length", config.dim);
  to.size("feed_forward_length", config.ffn_dim);
  to.size("attention.head_count", config.heads);
  to.size("attention.head_count_kv", config.kv_heads);
  to.size("attention.key_length", config.head_dim);
  to.size("attention.value_length", config.head_dim);
  to.number("attention.layer_norm_rms_epsilon", config.norm_epsilon);
  if (config.attention_scale != usual_attention_scale(config)) {
    to.number("attention.scale", config.attention_scale);
  }
  if (config.attention_soft_cap != 0 || architecture.attention_soft_cap != 0) {
    to.number("attn_logit_softcapping", config.attention_soft_cap);
  }
  if (config.final_soft_cap != 0 || architecture.final_soft_cap != 0) {
    to.number("final_logit_softcapping", config.final_soft_cap);
  }
  add_rope(config, to);
  const auto usual = usual_layers(architecture, config.layers, 0, 0);
  const auto same = [](const LayerConfig& a, const LayerConfig& b) { return a.turns == b.turns; };
  if (!std::ranges::equal(usual, config.layer, same)) {
    return fail(ErrorCode::kBadFile, "layers without RoPE are others than {} has",
                architecture.models);
  }
  return add_windows(config, to);
}

}  // namespace spillway::model
