// A whole model as a GGUF file in memory: a few hundred KiB of random weights and a vocabulary of
// bytes. A Llama unless another architecture is named. Values.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "support/gguf_builder.h"
#include "support/random_weights.h"
#include "support/small_vocabularies.h"

namespace spillway::test {

struct TinyLlama {
  DType dtype = DType::kF32;  // of all matrices
  bool tied = false;          // no output.weight: the embedding table is the head
  std::string family = "llama";
  std::optional<formats::TokenId> eos = {};
  uint32_t layers = 2;
  uint32_t seed = 1;
  std::string architecture = "llama";

  static constexpr uint32_t kDim = 64;
  static constexpr uint32_t kFfnDim = 128;
  static constexpr uint32_t kHeads = 4;
  static constexpr uint32_t kKvHeads = 2;
};

inline void add_tiny_vocabulary(const TinyLlama& tiny, const formats::TokenizerDescription& d,
                                GgufBuilder& file) {
  const auto texts = [](const formats::StringArray& array) {
    std::vector<std::string> all;
    for (size_t i = 0; i < array.size(); ++i) all.emplace_back(array[i]);
    return all;
  };
  file.add("tokenizer.ggml.model", tiny.family);
  file.add_array("tokenizer.ggml.tokens", texts(d.tokens));
  file.add_array("tokenizer.ggml.token_type", std::vector<int32_t>(d.types.begin(), d.types.end()));
  if (tiny.family == "llama") {
    file.add_array("tokenizer.ggml.scores", d.scores);
  } else {
    file.add("tokenizer.ggml.pre", std::string("gpt-2"));
    file.add_array("tokenizer.ggml.merges", texts(d.merges));
  }
  file.add("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*d.bos));
  file.add("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(tiny.eos.value_or(*d.eos)));
}

// Shape and architecture.
inline void add_tiny_metadata(const TinyLlama& tiny, const model::Architecture& kind,
                              GgufBuilder& file) {
  using T = TinyLlama;
  file.add("general.architecture", tiny.architecture);
  const auto add = [&](const char* key, auto value) {
    file.add(fmt::format("{}.{}", tiny.architecture, key), value);
  };
  add("block_count", tiny.layers);
  add("embedding_length", T::kDim);
  add("feed_forward_length", T::kFfnDim);
  add("context_length", uint32_t{512});
  add("attention.head_count", T::kHeads);
  add("attention.head_count_kv", T::kKvHeads);
  add("attention.layer_norm_rms_epsilon", 1e-5F);
  if (kind.full_attention_every > 0) {
    add("attention.sliding_window", uint32_t{6});
    add("attention.sliding_window_pattern", uint32_t{2});
  }
}

// Puts random weights into a file. One seed gives the same weights in the same order of calls.
class TinyWeights {
 public:
  TinyWeights(const TinyLlama& tiny, GgufBuilder& file)
      : dtype_(tiny.dtype), file_(file), random_(tiny.seed) {}

  void matrix(const std::string& name, uint64_t rows, uint64_t columns) {
    file_.add_tensor(name, dtype_, {columns, rows},
                     testing::random_weights(random_, dtype_, rows * columns));
  }
  void vector(const std::string& name, uint64_t size, float mean) {
    std::vector<float> values = testing::random_floats(random_, size, 0.2F);
    GgufBytes bytes;
    for (const float value : values) bytes.number(mean + value);
    file_.add_tensor(name, DType::kF32, {size}, bytes.bytes());
  }
  void norm(const std::string& name, uint64_t size = TinyLlama::kDim) { vector(name, size, 1.0F); }

 private:
  DType dtype_;
  GgufBuilder& file_;
  std::mt19937 random_;
};

// `prefix`: "blk.0.".
inline void add_tiny_layer(const model::Architecture& kind, const std::string& prefix,
                           TinyWeights& weights) {
  using T = TinyLlama;
  const uint64_t kv_dim = T::kDim / T::kHeads * T::kKvHeads;
  weights.norm(prefix + "attn_norm.weight");
  if (kind.fused) {
    weights.matrix(prefix + "attn_qkv.weight", T::kDim + 2 * kv_dim, T::kDim);
  } else {
    weights.matrix(prefix + "attn_q.weight", T::kDim, T::kDim);
    weights.matrix(prefix + "attn_k.weight", kv_dim, T::kDim);
    weights.matrix(prefix + "attn_v.weight", kv_dim, T::kDim);
  }
  if (kind.qkv_bias) {
    weights.vector(prefix + "attn_q.bias", T::kDim, 0.0F);
    weights.vector(prefix + "attn_k.bias", kv_dim, 0.0F);
    weights.vector(prefix + "attn_v.bias", kv_dim, 0.0F);
  }
  if (kind.qk_norm) {
    weights.norm(prefix + "attn_q_norm.weight", T::kDim / T::kHeads);
    weights.norm(prefix + "attn_k_norm.weight", T::kDim / T::kHeads);
  }
  if (kind.post_norms) {
    weights.norm(prefix + "post_attention_norm.weight");
    weights.norm(prefix + "post_ffw_norm.weight");
  }
  weights.matrix(prefix + "attn_output.weight", T::kDim, T::kDim);
  weights.norm(prefix + "ffn_norm.weight");
  if (!kind.fused) weights.matrix(prefix + "ffn_gate.weight", T::kFfnDim, T::kDim);
  weights.matrix(prefix + "ffn_up.weight", (kind.fused ? 2 : 1) * T::kFfnDim, T::kDim);
  weights.matrix(prefix + "ffn_down.weight", T::kDim, T::kFfnDim);
}

inline std::vector<std::byte> tiny_llama_file(const TinyLlama& tiny) {
  const model::Architecture& kind = *model::find_architecture(tiny.architecture);
  const auto description = tiny.family == "llama" ? sentencepiece_description(some_pieces())
                                                  : byte_level_description("gpt-2", some_merges());
  GgufBuilder file;
  add_tiny_metadata(tiny, kind, file);
  add_tiny_vocabulary(tiny, description, file);
  const uint64_t vocabulary = description.tokens.size();
  TinyWeights weights(tiny, file);
  weights.matrix("token_embd.weight", vocabulary, TinyLlama::kDim);
  for (uint32_t layer = 0; layer < tiny.layers; ++layer)
    add_tiny_layer(kind, fmt::format("blk.{}.", layer), weights);
  weights.norm("output_norm.weight");
  if (!tiny.tied) weights.matrix("output.weight", vocabulary, TinyLlama::kDim);
  return file.build();
}

}  // namespace spillway::test
