// The numbers as GGUF files name them: "llama.block_count" … Specification: ggml's docs/gguf.md.
#include <cmath>
#include <string>

#include "model/config_values.h"

namespace spillway::model {
namespace {

// A file and the name that its keys begin with.
struct Keys {
  const formats::GgufFile& file;
  std::string_view prefix;

  std::string operator()(std::string_view key) const { return fmt::format("{}.{}", prefix, key); }
};

Result<void> read_rope_scaling(const Keys& key, ModelConfig& config) {
  if (key.file.find(key("rope.scaling.type")) == nullptr) return {};
  SPILLWAY_ASSIGN(const std::string_view type, key.file.string_value(key("rope.scaling.type")));
  if (type == "none") return {};
  if (type == "longrope" && key.file.find_tensor("rope_factors_short.weight") != nullptr) {
    // They hold up to the context that the model was first trained for.
    config.rope.short_factors = true;
    config.rope.long_context = config.context_length;
    SPILLWAY_ASSIGN(config.context_length,
                    positive_size(key.file, key("rope.scaling.original_context_length"),
                                  config.context_length));
    SPILLWAY_ASSIGN(config.rope.magnitude,
                    positive_number(key.file, key("rope.scaling.attn_factor"), 1.0));
    return {};
  }
  if (type != "linear") {
    return fail(ErrorCode::kBadFile,
                "RoPE scaling '{}' is not supported; 'none', 'linear' and Phi-3's 'longrope' are",
                type);
  }
  SPILLWAY_ASSIGN(const double factor, positive_number(key.file, key("rope.scaling.factor"), 1.0));
  config.rope.position_scale = 1.0 / factor;
  return {};
}

Result<void> read_rope(const Keys& key, ModelConfig& config) {
  const Architecture& architecture = *config.architecture;
  SPILLWAY_ASSIGN(config.rope_dims,
                  key.file.unsigned_value(key("rope.dimension_count"), config.head_dim));
  SPILLWAY_ASSIGN(config.rope.base,
                  positive_number(key.file, key("rope.freq_base"), architecture.rope_base));
  if (architecture.local_rope_base > 0) {
    SPILLWAY_ASSIGN(config.local_rope.base, positive_number(key.file, key("rope.freq_base_swa"),
                                                            architecture.local_rope_base));
  }
  return read_rope_scaling(key, config);
}

Result<void> read_heads(const Keys& key, ModelConfig& config) {
  SPILLWAY_ASSIGN(config.heads, positive_size(key.file, key("attention.head_count")));
  SPILLWAY_ASSIGN(config.kv_heads,
                  key.file.unsigned_value(key("attention.head_count_kv"), config.heads));
  SPILLWAY_ASSIGN(config.head_dim,
                  key.file.unsigned_value(key("attention.key_length"), config.dim / config.heads));
  SPILLWAY_ASSIGN(const uint64_t value_dim,
                  key.file.unsigned_value(key("attention.value_length"), config.head_dim));
  if (value_dim != config.head_dim) {
    return fail(ErrorCode::kBadFile, "heads of {} key and {} value dimensions are not supported",
                config.head_dim, value_dim);
  }
  const Architecture& architecture = *config.architecture;
  const bool widest = config.layers == architecture.layers_of_widest;
  const size_t scaled_by = widest ? config.dim / config.heads : config.head_dim;
  SPILLWAY_ASSIGN(const double scale,
                  positive_number(key.file, key("attention.scale"),
                                  1.0 / std::sqrt(static_cast<float>(scaled_by))));
  config.attention_scale = static_cast<float>(scale);
  SPILLWAY_ASSIGN(config.attention_soft_cap, soft_cap(key.file, key("attn_logit_softcapping"),
                                                      architecture.attention_soft_cap));
  SPILLWAY_ASSIGN(config.final_soft_cap,
                  soft_cap(key.file, key("final_logit_softcapping"), architecture.final_soft_cap));
  return {};
}

// The pattern is a period, or a list of the layers with a window.
Result<void> read_windows(const Keys& key, ModelConfig& config) {
  const Architecture& architecture = *config.architecture;
  SPILLWAY_ASSIGN(const uint64_t window,
                  key.file.unsigned_value(key("attention.sliding_window"), architecture.window));
  const std::string pattern = key("attention.sliding_window_pattern");
  const formats::GgufValue* value = key.file.find(pattern);
  const auto* list = value == nullptr ? nullptr : std::get_if<std::vector<bool>>(value);
  if (list == nullptr) {
    SPILLWAY_ASSIGN(const uint64_t every,
                    key.file.unsigned_value(pattern, architecture.full_attention_every));
    config.layer = usual_layers(architecture, config.layers, window, every);
    return {};
  }
  if (list->size() < config.layers) {
    return fail(ErrorCode::kBadFile, "{} lists {} layers of {}", pattern, list->size(),
                config.layers);
  }
  config.layer = usual_layers(architecture, config.layers, 0, 0);
  for (size_t i = 0; i < config.layers; ++i) config.layer[i].window = (*list)[i] ? window : 0;
  return {};
}

}  // namespace

Result<ModelConfig> read_gguf_config(const formats::GgufFile& file) {
  SPILLWAY_ASSIGN(const std::string_view name, file.string_value("general.architecture"));
  ModelConfig config;
  config.architecture = find_architecture(name);
  if (config.architecture == nullptr) {
    return fail(ErrorCode::kBadFile, "the architecture '{}' is not supported; these are: {}", name,
                supported_architectures());
  }
  const Keys key{file, name};
  SPILLWAY_ASSIGN(const uint64_t experts, file.unsigned_value(key("expert_count"), 0));
  if (experts > 0) {
    return fail(ErrorCode::kBadFile, "a mixture of {} experts is not supported yet", experts);
  }
  SPILLWAY_ASSIGN(config.layers, layer_count(file, key("block_count")));
  SPILLWAY_ASSIGN(config.dim, positive_size(file, key("embedding_length")));
  SPILLWAY_ASSIGN(config.ffn_dim, positive_size(file, key("feed_forward_length")));
  SPILLWAY_ASSIGN(config.context_length, positive_size(file, key("context_length")));
  SPILLWAY_ASSIGN(config.norm_epsilon, norm_epsilon(file, key("attention.layer_norm_rms_epsilon")));
  SPILLWAY_TRY(read_heads(key, config));
  SPILLWAY_TRY(read_rope(key, config));
  SPILLWAY_TRY(read_windows(key, config));
  SPILLWAY_TRY(complete(config));
  return config;
}

}  // namespace spillway::model
