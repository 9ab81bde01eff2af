// Source: the configuration classes of Hugging Face's transformers 5.
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "model/config_values.h"
#include "model/config_writer.h"

namespace spillway::model {
namespace {

using nlohmann::ordered_json;

struct ModelClass {
  std::string_view model_type;
  const char* name;
};

constexpr std::array kClasses = {
    ModelClass{"llama", "LlamaForCausalLM"},        ModelClass{"mistral", "MistralForCausalLM"},
    ModelClass{"smollm3", "SmolLM3ForCausalLM"},    ModelClass{"qwen2", "Qwen2ForCausalLM"},
    ModelClass{"qwen3", "Qwen3ForCausalLM"},        ModelClass{"gemma2", "Gemma2ForCausalLM"},
    ModelClass{"gemma3_text", "Gemma3ForCausalLM"}, ModelClass{"phi3", "Phi3ForCausalLM"},
};

// Of Llama 3's factors; files keep only what follows from them.
constexpr double kLowFactor = 1.0;
constexpr double kHighFactor = 4.0;
constexpr double kFirstContext = 8192.0;
constexpr double kFactorTolerance = 1e-4;

// As people write it: 1e-05 is kept in 32 bits as 9.999999747378752e-06.
double shortest(float value) {
  return std::stod(fmt::format("{}", value));
}
double shortest(double value) {
  return shortest(static_cast<float>(value));
}

const char* dtype_name(DType dtype) {
  return dtype == DType::kF32 ? "float32" : dtype == DType::kF16 ? "float16" : "bfloat16";
}

// The parameters that give these factors; kBadFile where those of Llama 3 do not.
Result<ordered_json> llama3_scaling(const ModelConfig& config) {
  const auto& factors = config.rope.factors;
  const auto factor = static_cast<double>(std::ranges::max(factors));
  for (size_t pair = 0; pair < factors.size(); ++pair) {
    const double exponent =
        -2.0 * static_cast<double>(pair) / static_cast<double>(config.rope_dims);
    const double turns =
        kFirstContext * std::pow(config.rope.base, exponent) / (2.0 * std::numbers::pi);
    const double smooth = std::clamp((turns - kLowFactor) / (kHighFactor - kLowFactor), 0.0, 1.0);
    const double expected = 1.0 / ((1.0 - smooth) / factor + smooth);
    if (std::abs(static_cast<double>(factors[pair]) / expected - 1.0) > kFactorTolerance) {
      return fail(ErrorCode::kBadFile,
                  "RoPE's factors are not those of Llama 3 (pair {}: {} instead of {})", pair,
                  factors[pair], expected);
    }
  }
  return ordered_json{{"rope_type", "llama3"},
                      {"factor", factor},
                      {"low_freq_factor", kLowFactor},
                      {"high_freq_factor", kHighFactor},
                      {"original_max_position_embeddings", static_cast<uint64_t>(kFirstContext)}};
}

ordered_json longrope_scaling(const ModelConfig& config) {
  ordered_json scaling = {{"type", "longrope"},
                          {"short_factor", ordered_json::array()},
                          {"long_factor", ordered_json::array()},
                          {"attention_factor", shortest(config.rope.magnitude)}};
  for (const float factor : config.rope.factors) {
    scaling["short_factor"].push_back(shortest(factor));
  }
  for (const float factor : config.rope.long_factors) {
    scaling["long_factor"].push_back(shortest(factor));
  }
  return scaling;
}

Result<void> add_rope(const ModelConfig& config, ordered_json& json) {
  json["rope_theta"] = shortest(config.rope.base);
  if (config.architecture->local_rope_base > 0) {
    json["rope_local_base_freq"] = shortest(config.local_rope.base);
  }
  if (config.rope_dims != config.head_dim) {
    json["partial_rotary_factor"] =
        static_cast<double>(config.rope_dims) / static_cast<double>(config.head_dim);
  }
  if (config.rope.long_context > 0) {
    json["rope_scaling"] = longrope_scaling(config);
    json["original_max_position_embeddings"] = config.context_length;
    json["max_position_embeddings"] = config.rope.long_context;
  } else if (!config.rope.factors.empty()) {
    SPILLWAY_ASSIGN(json["rope_scaling"], llama3_scaling(config));
  } else if (config.rope.position_scale != 1.0) {
    json["rope_scaling"] = {{"rope_type", "linear"},
                            {"factor", shortest(1.0 / config.rope.position_scale)}};
  }
  return {};
}

void add_windows(const ModelConfig& config, ordered_json& json) {
  size_t window = 0;
  ordered_json types = ordered_json::array();
  for (const LayerConfig& layer : config.layer) {
    window = std::max(window, layer.window);
    types.push_back(layer.window > 0 ? "sliding_attention" : "full_attention");
  }
  const Architecture& architecture = *config.architecture;
  if (window == 0 && architecture.window == 0) return;
  if (window > 0) json["sliding_window"] = window;
  if (architecture.window_by_switch) json["use_sliding_window"] = window > 0;
  if (architecture.full_attention_every > 0 || architecture.window_by_switch) {
    json["layer_types"] = types;
  }
}

void add_details(const ModelConfig& config, ordered_json& json) {
  const Architecture& architecture = *config.architecture;
  if (architecture.activation == Activation::kGeglu) {
    json["hidden_activation"] = "gelu_pytorch_tanh";
    const auto scale = static_cast<double>(config.attention_scale);
    json["query_pre_attn_scalar"] = std::round(1.0 / (scale * scale));
    if (config.attention_soft_cap > 0) json["attn_logit_softcapping"] = config.attention_soft_cap;
    if (config.final_soft_cap > 0) json["final_logit_softcapping"] = config.final_soft_cap;
  } else {
    json["hidden_act"] = "silu";
  }
  if (!architecture.qkv_bias && !architecture.fused) json["attention_bias"] = false;
  if (architecture.model_type == "llama") json["mlp_bias"] = false;
}

}  // namespace

Result<std::string> huggingface_config(const ModelConfig& config, const HuggingFaceFacts& facts) {
  const Architecture& architecture = *config.architecture;
  const auto found = std::ranges::find(kClasses, architecture.model_type, &ModelClass::model_type);
  if (found == kClasses.end()) {
    return fail(ErrorCode::kBadFile, "{} is not converted", architecture.models);
  }
  ordered_json json = {{"architectures", ordered_json::array({found->name})},
                       {"model_type", architecture.model_type},
                       {"dtype", dtype_name(facts.dtype)},
                       {"hidden_size", config.dim},
                       {"intermediate_size", config.ffn_dim},
                       {"num_hidden_layers", config.layers},
                       {"num_attention_heads", config.heads},
                       {"num_key_value_heads", config.kv_heads},
                       {"head_dim", config.head_dim},
                       {"max_position_embeddings", config.context_length},
                       {"rms_norm_eps", shortest(config.norm_epsilon)},
                       {"tie_word_embeddings", facts.tied},
                       {"vocab_size", config.vocabulary}};
  add_details(config, json);
  SPILLWAY_TRY(add_rope(config, json));
  add_windows(config, json);
  if (facts.bos) json["bos_token_id"] = *facts.bos;
  if (facts.eos) json["eos_token_id"] = *facts.eos;
  if (facts.padding) json["pad_token_id"] = *facts.padding;
  return json.dump(2) + "\n";
}

}  // namespace spillway::model
