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

inline std::vector<std::byte> tiny_llama_file(const TinyLlama& tiny) {
  using T = TinyLlama;
  const model::Architecture& kind = *model::find_architecture(tiny.architecture);
  GgufBuilder file;
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
  const auto description = tiny.family == "llama" ? sentencepiece_description(some_pieces())
                                                  : byte_level_description("gpt-2", some_merges());
  add_tiny_vocabulary(tiny, description, file);

  std::mt19937 random(tiny.seed);
  const auto matrix = [&](const std::string& name, uint64_t rows, uint64_t columns) {
    file.add_tensor(name, tiny.dtype, {columns, rows},
                    testing::random_weights(random, tiny.dtype, rows * columns));
  };
  const auto vector = [&](const std::string& name, uint64_t size, float mean) {
    std::vector<float> values = testing::random_floats(random, size, 0.2F);
    GgufBytes bytes;
    for (const float value : values) bytes.number(mean + value);
    file.add_tensor(name, DType::kF32, {size}, bytes.bytes());
  };
  const auto norm = [&](const std::string& name) { vector(name, T::kDim, 1.0F); };
  const uint64_t vocabulary = description.tokens.size();
  const uint64_t kv_dim = T::kDim / T::kHeads * T::kKvHeads;
  matrix("token_embd.weight", vocabulary, T::kDim);
  for (uint32_t layer = 0; layer < tiny.layers; ++layer) {
    const std::string prefix = fmt::format("blk.{}.", layer);
    norm(prefix + "attn_norm.weight");
    if (kind.fused) {
      matrix(prefix + "attn_qkv.weight", T::kDim + 2 * kv_dim, T::kDim);
    } else {
      matrix(prefix + "attn_q.weight", T::kDim, T::kDim);
      matrix(prefix + "attn_k.weight", kv_dim, T::kDim);
      matrix(prefix + "attn_v.weight", kv_dim, T::kDim);
    }
    if (kind.qkv_bias) {
      vector(prefix + "attn_q.bias", T::kDim, 0.0F);
      vector(prefix + "attn_k.bias", kv_dim, 0.0F);
      vector(prefix + "attn_v.bias", kv_dim, 0.0F);
    }
    if (kind.qk_norm) {
      vector(prefix + "attn_q_norm.weight", T::kDim / T::kHeads, 1.0F);
      vector(prefix + "attn_k_norm.weight", T::kDim / T::kHeads, 1.0F);
    }
    if (kind.post_norms) {
      norm(prefix + "post_attention_norm.weight");
      norm(prefix + "post_ffw_norm.weight");
    }
    matrix(prefix + "attn_output.weight", T::kDim, T::kDim);
    norm(prefix + "ffn_norm.weight");
    if (!kind.fused) matrix(prefix + "ffn_gate.weight", T::kFfnDim, T::kDim);
    matrix(prefix + "ffn_up.weight", (kind.fused ? 2 : 1) * T::kFfnDim, T::kDim);
    matrix(prefix + "ffn_down.weight", T::kDim, T::kFfnDim);
  }
  norm("output_norm.weight");
  if (!tiny.tied) matrix("output.weight", vocabulary, T::kDim);
  return file.build();
}

}  // namespace spillway::test
