#include "model/tensor_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace spillway::model {
namespace {

struct Pair {
  std::string_view gguf;
  std::string_view huggingface;
};

constexpr std::string_view kGgufLayer = "blk.";
constexpr std::string_view kHuggingFaceLayer = "model.layers.";

constexpr std::array kOutside = {
    Pair{"token_embd", "model.embed_tokens"},
    Pair{"output_norm", "model.norm"},
    Pair{"output", "lm_head"},
};

// Behind the layer's number.
constexpr std::array kInLayers = {
    Pair{"attn_norm", "input_layernorm"},    Pair{"attn_q_norm", "self_attn.q_norm"},
    Pair{"attn_k_norm", "self_attn.k_norm"}, Pair{"attn_qkv", "self_attn.qkv_proj"},
    Pair{"attn_q", "self_attn.q_proj"},      Pair{"attn_k", "self_attn.k_proj"},
    Pair{"attn_v", "self_attn.v_proj"},      Pair{"attn_output", "self_attn.o_proj"},
    Pair{"ffn_gate", "mlp.gate_proj"},       Pair{"ffn_down", "mlp.down_proj"},
};

// One name means another tensor where what a layer adds is normalised.
constexpr std::array kUsualNorms = {
    Pair{"ffn_norm", "post_attention_layernorm"},
};
constexpr std::array kPostNorms = {
    Pair{"post_attention_norm", "post_attention_layernorm"},
    Pair{"ffn_norm", "pre_feedforward_layernorm"},
    Pair{"post_ffw_norm", "post_feedforward_layernorm"},
};
constexpr std::array kUp = {Pair{"ffn_up", "mlp.up_proj"}};
constexpr std::array kFusedUp = {Pair{"ffn_up", "mlp.gate_up_proj"}};

using Side = std::string_view Pair::*;

template <typename Table>
std::string_view look_up(const Table& table, std::string_view name, Side from, Side to) {
  const auto found = std::ranges::find(table, name, from);
  return found == table.end() ? std::string_view() : (*found).*to;
}

std::string_view look_up_in_layer(const Architecture& architecture, std::string_view name,
                                  Side from, Side to) {
  std::string_view found = look_up(kInLayers, name, from, to);
  if (found.empty()) {
    found = architecture.post_norms ? look_up(kPostNorms, name, from, to)
                                    : look_up(kUsualNorms, name, from, to);
  }
  if (found.empty()) {
    found = architecture.fused ? look_up(kFusedUp, name, from, to) : look_up(kUp, name, from, to);
  }
  return found;
}

struct Naming {
  Side from;
  Side to;
  std::string_view from_layer;
  std::string_view to_layer;
};

std::optional<std::string> translate(const Architecture& architecture, std::string_view name,
                                     const Naming& naming) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view suffix = name.substr(dot);  // ".weight"
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  const std::string_view stem = name.substr(0, dot);
  if (!stem.starts_with(naming.from_layer)) {
    const std::string_view found = look_up(kOutside, stem, naming.from, naming.to);
    if (found.empty()) return std::nullopt;
    return fmt::format("{}{}", found, suffix);
  }
  const std::string_view rest = stem.substr(naming.from_layer.size());
  const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (digits == 0 || digits + 1 >= rest.size() || rest[digits] != '.') return std::nullopt;
  const std::string_view found =
      look_up_in_layer(architecture, rest.substr(digits + 1), naming.from, naming.to);
  if (found.empty()) return std::nullopt;
  return fmt::format("{}{}.{}{}", naming.to_layer, rest.substr(0, digits), found, suffix);
}

}  // namespace

std::optional<std::string> gguf_tensor_name(const Architecture& architecture,
                                            std::string_view huggingface) {
  return translate(architecture, huggingface,
                   {&Pair::huggingface, &Pair::gguf, kHuggingFaceLayer, kGgufLayer});
}

std::optional<std::string> huggingface_tensor_name(const Architecture& architecture,
                                                   std::string_view gguf) {
  return translate(architecture, gguf,
                   {&Pair::gguf, &Pair::huggingface, kGgufLayer, kHuggingFaceLayer});
}

std::optional<size_t> layer_of_tensor(std::string_view gguf) {
  if (!gguf.starts_with(kGgufLayer)) return std::nullopt;
  size_t layer = 0;
  const std::string_view rest = gguf.substr(kGgufLayer.size());
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  if (error != std::errc()) return std::nullopt;
  return layer;
}

}  // namespace spillway::model
