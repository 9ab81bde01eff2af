// config.json as Hugging Face's checkpoints spell it: what is read, what follows, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "model/config.h"

namespace spillway::model {
namespace {

using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

Json base(const char* model_type) {
  return {{"model_type", model_type},        {"hidden_size", 64},        {"intermediate_size", 96},
          {"num_hidden_layers", 6},          {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"max_position_embeddings", 4096}, {"rms_norm_eps", 1e-6}};
}

ModelConfig read(const Json& config) {
  auto result = read_huggingface_config(config.dump());
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result.value_or(ModelConfig{});
}

std::string refusal(const Json& config) {
  const auto result = read_huggingface_config(config.dump());
  if (result) return "it was read";
  EXPECT_EQ(result.error().code, ErrorCode::kBadFile);
  return result.error().message;
}

std::vector<size_t> windows(const ModelConfig& config) {
  std::vector<size_t> all;
  for (const LayerConfig& layer : config.layer) all.push_back(layer.window);
  return all;
}

TEST(HuggingFaceConfig, SizesAndDefaults) {
  const ModelConfig config = read(base("llama"));
  EXPECT_EQ(config.architecture->name, "llama");
  EXPECT_EQ(config.layers, 6u);
  EXPECT_EQ(config.head_dim, 16u);
  EXPECT_EQ(config.rope_dims, 16u);
  EXPECT_EQ(config.rope.base, 10000.0);
  EXPECT_FLOAT_EQ(config.attention_scale, 0.25F);
  EXPECT_TRUE(config.interleave_heads);
  EXPECT_EQ(config.tied, std::nullopt);
  EXPECT_EQ(windows(config), std::vector<size_t>(6, 0));
}

TEST(HuggingFaceConfig, NullIsAsMissing) {
  Json config = base("llama");
  config["head_dim"] = config["rope_scaling"] = config["num_key_value_heads"] = nullptr;
  EXPECT_EQ(read(config).kv_heads, 4u);
}

TEST(HuggingFaceConfig, RopeInTheOldAndTheNewSpelling) {
  Json old = base("llama");
  old["rope_theta"] = 5e5;
  old["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  Json now = base("llama");
  now["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 5e5}};
  for (const Json& config : {old, now}) {
    EXPECT_EQ(read(config).rope.base, 5e5);
    EXPECT_EQ(read(config).rope.position_scale, 0.25);
  }
}

TEST(HuggingFaceConfig, Gemma3HasTwoRopesInTheOldAndTheNewSpelling) {
  Json old = base("gemma3_text");
  old["rope_theta"] = 1e6;
  old["rope_local_base_freq"] = 2e4;
  old["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  old["sliding_window"] = 512;
  Json now = base("gemma3_text");
  now["sliding_window"] = 512;
  now["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}};
  for (const Json& written : {old, now}) {
    const ModelConfig config = read(written);
    EXPECT_EQ(config.rope.base, 1e6);
    EXPECT_EQ(config.rope.position_scale, 0.125);
    EXPECT_EQ(config.local_rope.base, 2e4);
    EXPECT_EQ(config.local_rope.position_scale, 1.0);
    EXPECT_EQ(windows(config), (std::vector<size_t>{512, 512, 512, 512, 512, 0}));
    EXPECT_TRUE(config.layer[0].local_rope);
    EXPECT_FALSE(config.layer[5].local_rope);
    EXPECT_EQ(config.embedding_scale, 8.0F);
    EXPECT_EQ(config.norm_offset, 1.0F);
  }
}

TEST(HuggingFaceConfig, WindowsAreThoseOfTheArchitectureOrOfTheList) {
  Json gemma = base("gemma2");
  gemma["sliding_window"] = 8;
  EXPECT_EQ(windows(read(gemma)), (std::vector<size_t>{8, 0, 8, 0, 8, 0}));
  gemma["layer_types"] = {"full_attention", "sliding_attention", "full_attention",
                          "full_attention", "full_attention",    "sliding_attention"};
  EXPECT_EQ(windows(read(gemma)), (std::vector<size_t>{0, 8, 0, 0, 0, 8}));
  gemma["layer_types"][2] = "chunked_attention";
  EXPECT_THAT(refusal(gemma), HasSubstr("layer 2"));

  Json qwen = base("qwen2");
  qwen["sliding_window"] = 8;
  qwen["max_window_layers"] = 4;
  EXPECT_EQ(windows(read(qwen)), std::vector<size_t>(6, 0)) << "not switched on";
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(windows(read(qwen)), (std::vector<size_t>{0, 0, 0, 0, 8, 8}));

  Json mistral = base("mistral");
  mistral["sliding_window"] = 8;
  EXPECT_EQ(windows(read(mistral)), std::vector<size_t>(6, 8));
}

TEST(HuggingFaceConfig, LayersWithoutRope) {
  EXPECT_FALSE(read(base("smollm3")).layer[3].turns);
  Json config = base("smollm3");
  config["no_rope_layers"] = {1, 0, 1, 1, 1, 1};
  EXPECT_FALSE(read(config).layer[1].turns);
  EXPECT_TRUE(read(config).layer[3].turns);
}

// transformers' own numbers: factor 8, low 1, high 4, 8192 positions, theta 5e5, 128 dimensions.
TEST(HuggingFaceConfig, Llama3FactorsRiseFromOneToTheFactor) {
  Json config = base("llama");
  config["head_dim"] = 128;
  config["rope_theta"] = 5e5;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const std::vector<float> factors = read(config).rope.factors;
  ASSERT_EQ(factors.size(), 64u);
  EXPECT_EQ(factors[0], 1.0F);
  EXPECT_EQ(factors[28], 1.0F);
  EXPECT_GT(factors[29], 1.0F);
  EXPECT_LT(factors[34], 8.0F);
  EXPECT_EQ(factors[35], 8.0F);
  EXPECT_TRUE(std::ranges::is_sorted(factors));
}

TEST(HuggingFaceConfig, LongRopeIsUsedUpToTheContextOfItsShortFactors) {
  Json config = base("phi3");
  config["partial_rotary_factor"] = 0.5;
  config["original_max_position_embeddings"] = 512;
  config["rope_scaling"] = {{"type", "longrope"},
                            {"short_factor", {1.0, 1.5, 2.0, 3.0}},
                            {"long_factor", {1.0, 2.0, 4.0, 8.0}}};
  const ModelConfig read_config = read(config);
  EXPECT_EQ(read_config.rope_dims, 8u);
  EXPECT_EQ(read_config.context_length, 512u);
  EXPECT_EQ(read_config.rope.factors, (std::vector<float>{1.0F, 1.5F, 2.0F, 3.0F}));
  EXPECT_NEAR(read_config.rope.magnitude, std::sqrt(1.0 + std::log(8.0) / std::log(512.0)), 1e-7);
  config["rope_scaling"]["short_factor"] = {1.0, 2.0};
  EXPECT_THAT(refusal(config), HasSubstr("2 RoPE factors for 4"));
}

TEST(HuggingFaceConfig, WhatIsNotSupportedIsNamed) {
  const auto with = [](const char* type, const char* key, const Json& value) {
    Json config = base(type);
    config[key] = value;
    return refusal(config);
  };
  EXPECT_THAT(with("mamba", "x", 1), AllOf(HasSubstr("'mamba'"), HasSubstr("'qwen3'")));
  EXPECT_THAT(with("llama", "quantization_config", Json::object()), HasSubstr("quantised"));
  EXPECT_THAT(with("llama", "hidden_act", "relu"), AllOf(HasSubstr("relu"), HasSubstr("silu")));
  EXPECT_THAT(with("llama", "rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}),
              HasSubstr("'yarn'"));
  EXPECT_THAT(with("gemma3_text", "use_bidirectional_attention", true), HasSubstr("causal"));
  EXPECT_THAT(with("llama", "hidden_size", -1), HasSubstr("hidden_size"));
  EXPECT_THAT(with("llama", "hidden_size", 0), HasSubstr("hidden_size is 0"));
  EXPECT_THAT(with("llama", "hidden_size", "64"), HasSubstr("hidden_size"));
  EXPECT_THAT(with("llama", "num_key_value_heads", 3), HasSubstr("do not divide"));
  EXPECT_THAT(with("llama", "rms_norm_eps", 2), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(with("llama", "num_hidden_layers", 1 << 20), HasSubstr("num_hidden_layers"));
  for (const char* text : {"", "[]", "{", "null", "{\"model_type\": 3}"})
    EXPECT_FALSE(read_huggingface_config(text).has_value()) << text;
}

// Any text gives numbers or an error.
TEST(HuggingFaceConfig, SurvivesDamage) {
  const unsigned seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  Json config = base("gemma3_text");
  config["rope_parameters"] = {{"full_attention", {{"rope_type", "llama3"}, {"factor", 8.0}}}};
  config["layer_types"] = std::vector<std::string>(6, "full_attention");
  const std::string text = config.dump();
  size_t read_all_the_same = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = text;
    for (int i = 0; i < 1 + round % 3; ++i) {
      const size_t at = random() % damaged.size();
      damaged.replace(at, random() % 3, std::string(random() % 3, "0-9\"{}[],:e"[random() % 11]));
    }
    if (read_huggingface_config(damaged)) ++read_all_the_same;
  }
  EXPECT_GT(read_all_the_same, 0u);
  EXPECT_FALSE(read_huggingface_config(std::string(200000, '[')).has_value());
}

}  // namespace
}  // namespace spillway::model
