// The numbers as config.json names them. Source: the configuration classes of Hugging Face's
// transformers 5, and the older spellings that checkpoints still have.
#include <cmath>
#include <numbers>
#include <string>

#include "model/config_values.h"
#include "model/json_values.h"

namespace spillway::model {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostText = 1 << 20;  // bytes; real ones have a few thousand

// As a GGUF file would hold it, so that both give the same bits.
double as_float(double value) {
  return static_cast<double>(static_cast<float>(value));
}

// Each of them changes what a model computes.
Result<void> refuse_unsupported(const JsonValues& values, const Architecture& architecture) {
  if (values.find("quantization_config") != nullptr) {
    return fail(ErrorCode::kBadFile,
                "quantization_config: weights that were quantised by another program are not "
                "supported; F32, F16 and BF16 are");
  }
  SPILLWAY_ASSIGN(const bool both, values.bool_value("use_bidirectional_attention", false));
  if (both) {
    return fail(ErrorCode::kBadFile, "use_bidirectional_attention: only causal attention works");
  }
  const bool geglu = architecture.activation == Activation::kGeglu;
  const std::string_view expected = geglu ? "gelu_pytorch_tanh" : "silu";
  const char* key = geglu ? "hidden_activation" : "hidden_act";
  SPILLWAY_ASSIGN(const std::string activation, values.string_value(key, expected));
  if (activation != expected) {
    return fail(ErrorCode::kBadFile, "{} is '{}'; for {} only '{}' is supported", key, activation,
                architecture.models, expected);
  }
  return {};
}

Result<std::vector<float>> read_factors(const JsonValues& values, const std::string& key) {
  const Json* list = values.find(key);
  if (list == nullptr || !list->is_array()) {
    return fail(ErrorCode::kBadFile, "{} is no list of numbers", key);
  }
  std::vector<float> factors;
  for (const Json& value : *list) {
    const double factor = value.is_number() ? value.get<double>() : 0.0;
    if (!(factor > 0) || !std::isfinite(factor)) {
      return fail(ErrorCode::kBadFile, "{} holds something that is no positive number", key);
    }
    factors.push_back(static_cast<float>(factor));
  }
  return factors;
}

// Llama 3.1's divisors: long waves turn slower, short ones as they did, those between in part.
Result<void> read_llama3(const JsonValues& values, size_t dims, Rope& rope) {
  SPILLWAY_ASSIGN(const double factor, positive_number(values, "factor", 8.0));
  SPILLWAY_ASSIGN(const double low, positive_number(values, "low_freq_factor", 1.0));
  SPILLWAY_ASSIGN(const double high, positive_number(values, "high_freq_factor", 4.0));
  SPILLWAY_ASSIGN(const double context,
                  positive_number(values, "original_max_position_embeddings", 8192.0));
  if (!(high > low)) {
    return fail(ErrorCode::kBadFile, "high_freq_factor {} is not above low_freq_factor {}", high,
                low);
  }
  for (size_t pair = 0; pair < dims / 2; ++pair) {
    const double exponent = 2.0 * static_cast<double>(pair) / static_cast<double>(dims);
    const double wavelength = 2.0 * std::numbers::pi * std::pow(rope.base, exponent);
    const double smooth = (context / wavelength - low) / (high - low);
    const double mixed = 1.0 / ((1.0 - smooth) / factor + smooth);
    const double divisor = smooth < 0 ? factor : (smooth > 1 ? 1.0 : mixed);
    rope.factors.push_back(static_cast<float>(divisor));
  }
  return {};
}

// Ding et al., arXiv 2402.13753. The short factors hold up to the context that the model was first
// trained for; the long ones are not used.
Result<void> read_longrope(const JsonValues& top, const JsonValues& values, ModelConfig& config) {
  SPILLWAY_ASSIGN(config.rope.factors, read_factors(values, "short_factor"));
  SPILLWAY_ASSIGN(config.rope.long_factors, read_factors(values, "long_factor"));
  const char* key = "original_max_position_embeddings";
  const JsonValues& holder = values.find(key) != nullptr ? values : top;
  SPILLWAY_ASSIGN(const size_t original, positive_size(holder, key, config.context_length));
  const double ratio = static_cast<double>(config.context_length) / static_cast<double>(original);
  SPILLWAY_ASSIGN(const double factor, positive_number(values, "factor", ratio));
  const double usual =
      factor <= 1.0 ? 1.0
                    : std::sqrt(1.0 + std::log(factor) / std::log(static_cast<double>(original)));
  SPILLWAY_ASSIGN(const double magnitude, positive_number(values, "attention_factor", usual));
  config.rope.magnitude = as_float(magnitude);
  config.rope.long_context = config.context_length;
  config.context_length = original;
  return {};
}

// `values` hold the parameters of one kind of layer.
Result<void> read_rope(const JsonValues& top, const JsonValues& values, ModelConfig& config) {
  const Architecture& architecture = *config.architecture;
  SPILLWAY_ASSIGN(const double base, positive_number(top, "rope_theta", architecture.rope_base));
  SPILLWAY_ASSIGN(const double theta, positive_number(values, "rope_theta", base));
  config.rope.base = as_float(theta);
  SPILLWAY_ASSIGN(const double outer, positive_number(top, "partial_rotary_factor", 1.0));
  SPILLWAY_ASSIGN(const double part, positive_number(values, "partial_rotary_factor", outer));
  if (part > 1) return fail(ErrorCode::kBadFile, "partial_rotary_factor is {}, above 1", part);
  config.rope_dims = static_cast<size_t>(static_cast<double>(config.head_dim) * part);

  SPILLWAY_ASSIGN(const std::string old, values.string_value("type", "default"));
  SPILLWAY_ASSIGN(const std::string type, values.string_value("rope_type", old));
  if (type == "default") return {};
  if (type == "llama3") return read_llama3(values, config.rope_dims, config.rope);
  if (type == "longrope" || type == "su") return read_longrope(top, values, config);
  if (type != "linear") {
    return fail(ErrorCode::kBadFile,
                "RoPE scaling '{}' is not supported; 'linear', 'llama3' and 'longrope' are", type);
  }
  SPILLWAY_ASSIGN(const double factor, positive_number(values, "factor", 1.0));
  config.rope.position_scale = 1.0 / as_float(factor);
  return {};
}

Result<void> read_ropes(const JsonValues& top, ModelConfig& config) {
  const Json none = Json::object();
  const auto object = [&](const JsonValues& values, const char* key) -> Result<const Json*> {
    const Json* value = values.find(key);
    if (value != nullptr && !value->is_object()) {
      return fail(ErrorCode::kBadFile, "{} is no object", key);
    }
    return value;
  };
  SPILLWAY_ASSIGN(const Json* parameters, object(top, "rope_parameters"));
  if (parameters == nullptr) {
    SPILLWAY_ASSIGN(parameters, object(top, "rope_scaling"));
  }
  const JsonValues all(parameters == nullptr ? none : *parameters);
  const double local_base = config.architecture->local_rope_base;
  if (local_base == 0) return read_rope(top, all, config);

  // Two kinds of layers: each has an object of its own, or an older key.
  SPILLWAY_ASSIGN(const Json* local, object(all, "sliding_attention"));
  SPILLWAY_ASSIGN(const double old, positive_number(top, "rope_local_base_freq", local_base));
  SPILLWAY_ASSIGN(const double local_theta,
                  positive_number(JsonValues(local == nullptr ? none : *local), "rope_theta", old));
  config.local_rope.base = as_float(local_theta);
  SPILLWAY_ASSIGN(const Json* full, object(all, "full_attention"));
  return read_rope(top, full == nullptr ? all : JsonValues(*full), config);
}

Result<void> read_heads(const JsonValues& values, ModelConfig& config) {
  const Architecture& architecture = *config.architecture;
  SPILLWAY_ASSIGN(config.heads, positive_size(values, "num_attention_heads"));
  SPILLWAY_ASSIGN(config.kv_heads, positive_size(values, "num_key_value_heads", config.heads));
  SPILLWAY_ASSIGN(config.head_dim, positive_size(values, "head_dim", config.dim / config.heads));
  SPILLWAY_ASSIGN(const double scaled_by, positive_number(values, "query_pre_attn_scalar",
                                                          static_cast<double>(config.head_dim)));
  config.attention_scale = 1.0F / std::sqrt(static_cast<float>(scaled_by));
  if (architecture.attention_soft_cap > 0) {
    SPILLWAY_ASSIGN(config.attention_soft_cap, soft_cap(values, "attn_logit_softcapping", 0.0));
  }
  SPILLWAY_ASSIGN(config.final_soft_cap, soft_cap(values, "final_logit_softcapping", 0.0));
  return {};
}

// The kinds of layers one by one, where the file lists them.
Result<void> read_layer_types(const Json& list, size_t window, ModelConfig& config) {
  if (!list.is_array() || list.size() < config.layers) {
    return fail(ErrorCode::kBadFile, "layer_types is no list of {} layers", config.layers);
  }
  for (size_t i = 0; i < config.layers; ++i) {
    const bool sliding = list[i] == "sliding_attention";
    if (!sliding && list[i] != "full_attention") {
      return fail(ErrorCode::kBadFile,
                  "layer_types: layer {} is neither 'full_attention' nor 'sliding_attention'", i);
    }
    if (sliding && window == 0) {
      return fail(ErrorCode::kBadFile, "layer_types: layer {} slides, but no sliding_window is set",
                  i);
    }
    config.layer[i].window = sliding ? window : 0;
  }
  return {};
}

Result<void> read_windows(const JsonValues& values, ModelConfig& config) {
  const Architecture& architecture = *config.architecture;
  SPILLWAY_ASSIGN(const bool used,
                  values.bool_value("use_sliding_window", !architecture.window_by_switch));
  uint64_t window = 0;
  if (used && architecture.model_type != "llama") {  // whose class knows no window
    SPILLWAY_ASSIGN(window, values.unsigned_value("sliding_window", 0));
  }
  SPILLWAY_ASSIGN(const uint64_t every, values.unsigned_value("sliding_window_pattern",
                                                              architecture.full_attention_every));
  config.layer = usual_layers(architecture, config.layers, window, every);
  SPILLWAY_ASSIGN(const uint64_t full_layers, values.unsigned_value("max_window_layers", 0));
  for (size_t i = 0; i < std::min<uint64_t>(full_layers, config.layers); ++i)
    config.layer[i].window = 0;
  if (const Json* turns = values.find("no_rope_layers"); turns != nullptr && turns->is_array()) {
    for (size_t i = 0; i < std::min(config.layers, turns->size()); ++i)
      config.layer[i].turns = (*turns)[i] != 0;
  }
  // Mistral's is not asked by transformers either.
  const Json* types = values.find("layer_types");
  if (types == nullptr || architecture.model_type == "mistral") return {};
  return read_layer_types(*types, window, config);
}

}  // namespace

Result<ModelConfig> read_huggingface_config(std::string_view text) {
  if (text.size() > kMostText) {
    return fail(ErrorCode::kBadFile, "{} bytes are too many; at most {} are read", text.size(),
                kMostText);
  }
  const Json parsed = Json::parse(text, nullptr, false);
  if (!parsed.is_object()) return fail(ErrorCode::kBadFile, "it is no JSON object");
  const JsonValues values(parsed);
  SPILLWAY_ASSIGN(const std::string type, values.string_value("model_type", ""));
  ModelConfig config;
  config.architecture = find_model_type(type);
  if (config.architecture == nullptr) {
    return fail(ErrorCode::kBadFile, "the model_type '{}' is not supported; these are: {}", type,
                supported_architectures());
  }
  SPILLWAY_TRY(refuse_unsupported(values, *config.architecture));
  SPILLWAY_ASSIGN(config.layers, layer_count(values, "num_hidden_layers"));
  SPILLWAY_ASSIGN(config.dim, positive_size(values, "hidden_size"));
  SPILLWAY_ASSIGN(config.ffn_dim, positive_size(values, "intermediate_size"));
  SPILLWAY_ASSIGN(config.context_length, positive_size(values, "max_position_embeddings"));
  SPILLWAY_ASSIGN(config.norm_epsilon, norm_epsilon(values, "rms_norm_eps"));
  SPILLWAY_TRY(read_heads(values, config));
  SPILLWAY_TRY(read_ropes(values, config));
  SPILLWAY_TRY(read_windows(values, config));
  if (values.find("tie_word_embeddings") != nullptr) {
    SPILLWAY_ASSIGN(config.tied, values.bool_value("tie_word_embeddings", false));
  }
  config.interleave_heads = config.architecture->rope_layout == ops::RopeLayout::kInterleaved;
  config.norm_offset = config.architecture->norms_less_one ? 1.0F : 0.0F;
  SPILLWAY_TRY(complete(config));
  return config;
}

}  // namespace spillway::model
