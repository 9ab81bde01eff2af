#include "model/tensor_names.h"

#include <gtest/gtest.h>

namespace spillway::model {
namespace {

TEST(TensorNames, GoBothWays) {
  struct Case {
    const char* architecture;
    const char* gguf;
    const char* huggingface;
  };
  const Case cases[] = {
      {"llama", "token_embd.weight", "model.embed_tokens.weight"},
      {"llama", "output.weight", "lm_head.weight"},
      {"llama", "blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"},
      {"qwen2", "blk.31.attn_q.bias", "model.layers.31.self_attn.q_proj.bias"},
      {"qwen3", "blk.7.attn_k_norm.weight", "model.layers.7.self_attn.k_norm.weight"},
      {"gemma3", "blk.2.post_attention_norm.weight",
       "model.layers.2.post_attention_layernorm.weight"},
      {"gemma3", "blk.2.ffn_norm.weight", "model.layers.2.pre_feedforward_layernorm.weight"},
      {"phi3", "blk.100.ffn_up.weight", "model.layers.100.mlp.gate_up_proj.weight"},
      {"phi3", "blk.1.attn_qkv.weight", "model.layers.1.self_attn.qkv_proj.weight"},
  };
  for (const Case& c : cases) {
    const Architecture& architecture = *find_architecture(c.architecture);
    EXPECT_EQ(gguf_tensor_name(architecture, c.huggingface), c.gguf);
    EXPECT_EQ(huggingface_tensor_name(architecture, c.gguf), c.huggingface);
  }
}

TEST(TensorNames, WhatIsUnknownHasNone) {
  const Architecture& llama = *find_architecture("llama");
  for (const char* name :
       {"", ".", "weight", "model.layers.", "model.layers.weight", "model.layers.x.mlp.weight",
        "model.layers.1mlp.up_proj.weight", "model.layers.1..weight", "model.layers.1.weight",
        "model.layers.1.mlp.gate_up_proj.weight", "model.layers.1.mlp.up_proj.scales",
        "model.layers.1.post_feedforward_layernorm.weight", "lm_head"})
    EXPECT_EQ(gguf_tensor_name(llama, name), std::nullopt) << name;
  EXPECT_EQ(huggingface_tensor_name(llama, "blk.0.attn_norm_2.weight"), std::nullopt);
}

}  // namespace
}  // namespace spillway::model
