#include "model/llama_config.h"

#include <cmath>
#include <string>

namespace spillway::model {
namespace {

// Sizes beyond this are no model but a broken file; products of two of them still fit 64 bits.
constexpr uint64_t kMaxSize = 1 << 24;

Result<size_t> positive_size(const formats::GgufFile& file, const std::string& key) {
  SPILLWAY_ASSIGN(const uint64_t value, file.unsigned_value(key));
  if (value == 0 || value > kMaxSize) {
    return fail(ErrorCode::kBadFile, "{} is {}, which is outside 1 to {}", key, value, kMaxSize);
  }
  return value;
}

Result<void> read_rope(const formats::GgufFile& file, LlamaConfig& config) {
  SPILLWAY_ASSIGN(config.rope_dims,
                  file.unsigned_value("llama.rope.dimension_count", config.head_dim));
  if (config.rope_dims % 2 != 0 || config.rope_dims > config.head_dim) {
    return fail(ErrorCode::kBadFile,
                "llama.rope.dimension_count is {}; it must be even and at most {}",
                config.rope_dims, config.head_dim);
  }
  SPILLWAY_ASSIGN(config.rope_base, file.float_value("llama.rope.freq_base", 10000.0));
  if (!(config.rope_base > 0) || !std::isfinite(config.rope_base)) {
    return fail(ErrorCode::kBadFile, "llama.rope.freq_base is {}; it must be positive",
                config.rope_base);
  }
  if (file.find("llama.rope.scaling.type") == nullptr) return {};
  SPILLWAY_ASSIGN(const std::string_view type, file.string_value("llama.rope.scaling.type"));
  if (type == "none") return {};
  if (type != "linear") {
    return fail(ErrorCode::kBadFile, "RoPE scaling '{}' is not supported; 'none' and 'linear' are",
                type);
  }
  SPILLWAY_ASSIGN(const double factor, file.float_value("llama.rope.scaling.factor", 1.0));
  if (!(factor > 0) || !std::isfinite(factor)) {
    return fail(ErrorCode::kBadFile, "llama.rope.scaling.factor is {}; it must be positive",
                factor);
  }
  config.rope_position_scale = 1.0 / factor;
  return {};
}

Result<void> read_heads(const formats::GgufFile& file, LlamaConfig& config) {
  SPILLWAY_ASSIGN(config.heads, positive_size(file, "llama.attention.head_count"));
  SPILLWAY_ASSIGN(config.kv_heads,
                  file.unsigned_value("llama.attention.head_count_kv", config.heads));
  if (config.kv_heads == 0 || config.heads % config.kv_heads != 0) {
    return fail(ErrorCode::kBadFile,
                "llama.attention.head_count_kv is {}, which does not divide the {} query heads",
                config.kv_heads, config.heads);
  }
  SPILLWAY_ASSIGN(config.head_dim,
                  file.unsigned_value("llama.attention.key_length", config.dim / config.heads));
  SPILLWAY_ASSIGN(const uint64_t value_dim,
                  file.unsigned_value("llama.attention.value_length", config.head_dim));
  if (config.head_dim == 0 || config.head_dim > kMaxSize || value_dim != config.head_dim) {
    return fail(ErrorCode::kBadFile, "heads of {} key and {} value dimensions are not supported",
                config.head_dim, value_dim);
  }
  return {};
}

}  // namespace

Result<LlamaConfig> read_llama_config(const formats::GgufFile& file) {
  SPILLWAY_ASSIGN(const std::string_view architecture, file.string_value("general.architecture"));
  if (architecture != "llama") {
    return fail(
        ErrorCode::kBadFile,
        "the architecture '{}' is not supported yet; 'llama' (SmolLM2, Llama 2 and 3, Mistral) is",
        architecture);
  }
  SPILLWAY_ASSIGN(const uint64_t experts, file.unsigned_value("llama.expert_count", 0));
  if (experts > 0) {
    return fail(ErrorCode::kBadFile, "a mixture of {} experts is not supported yet", experts);
  }
  LlamaConfig config;
  SPILLWAY_ASSIGN(config.layers, positive_size(file, "llama.block_count"));
  SPILLWAY_ASSIGN(config.dim, positive_size(file, "llama.embedding_length"));
  SPILLWAY_ASSIGN(config.ffn_dim, positive_size(file, "llama.feed_forward_length"));
  SPILLWAY_ASSIGN(config.context_length, positive_size(file, "llama.context_length"));
  SPILLWAY_ASSIGN(const double epsilon, file.float_value("llama.attention.layer_norm_rms_epsilon"));
  if (!(epsilon > 0) || !(epsilon < 1)) {
    return fail(ErrorCode::kBadFile,
                "llama.attention.layer_norm_rms_epsilon is {}; it must lie between 0 and 1",
                epsilon);
  }
  config.norm_epsilon = static_cast<float>(epsilon);
  SPILLWAY_TRY(read_heads(file, config));
  SPILLWAY_TRY(read_rope(file, config));
  const formats::GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    return fail(ErrorCode::kBadFile, "the tensor token_embd.weight is missing");
  }
  config.vocabulary = embedding->rows();
  if (config.vocabulary > kMaxSize) {
    return fail(ErrorCode::kBadFile, "token_embd.weight has {} rows; at most {} are supported",
                config.vocabulary, kMaxSize);
  }
  return config;
}

}  // namespace spillway::model
