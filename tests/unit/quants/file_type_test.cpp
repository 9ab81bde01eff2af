// Which dtype each tensor of a mixture gets: as llama-quantize decides.
#include "model/file_type.h"

#include <gtest/gtest.h>

namespace spillway::model {
namespace {

DType chosen(const char* type, const std::string& name, std::vector<uint64_t> dimensions,
             bool pure = false) {
  const TensorMixture mixture{
      .type = *find_file_type(type), .layers = 16, .own_output = true, .pure = pure};
  const formats::GgufTensor tensor{.name = name, .dimensions = std::move(dimensions)};
  return dtype_in_mixture(mixture, tensor).value_or(DType::kF32);
}

TEST(FileType, NamesAreFoundInAnyCase) {
  EXPECT_EQ(find_file_type("q4_k_m")->number, 15U);
  EXPECT_EQ(find_file_type("Q4_K")->name, "Q4_K_M");
  EXPECT_EQ(find_file_type("bf16")->dtype, DType::kBF16);
  EXPECT_FALSE(find_file_type("Q4"));
  EXPECT_FALSE(find_file_type(""));
}

TEST(FileType, VectorsNormsAndBiasesStay) {
  const TensorMixture mixture{.type = *find_file_type("Q8_0"), .layers = 2};
  for (const char* name : {"output_norm.weight", "blk.0.attn_q.bias", "rope_freqs.weight"})
    EXPECT_FALSE(dtype_in_mixture(mixture, {.name = name, .dimensions = {256}}));
  EXPECT_FALSE(dtype_in_mixture(mixture, {.name = "blk.0.attn_norm.weight", .dimensions = {4, 4}}));
}

TEST(FileType, MixturesKeepSomeLayersFiner) {
  EXPECT_EQ(chosen("Q4_K_M", "blk.3.attn_q.weight", {256, 256}), DType::kQ4_K);
  EXPECT_EQ(chosen("Q4_K_M", "blk.1.attn_v.weight", {256, 64}), DType::kQ6_K);
  EXPECT_EQ(chosen("Q4_K_M", "blk.2.attn_v.weight", {256, 64}), DType::kQ4_K);
  EXPECT_EQ(chosen("Q4_K_M", "blk.4.ffn_down.weight", {512, 256}), DType::kQ6_K);
  EXPECT_EQ(chosen("Q4_K_M", "blk.14.ffn_down.weight", {512, 256}), DType::kQ6_K);
  EXPECT_EQ(chosen("Q4_K_S", "blk.3.attn_v.weight", {256, 64}), DType::kQ5_K);
  EXPECT_EQ(chosen("Q4_K_S", "blk.3.ffn_down.weight", {512, 256}), DType::kQ4_K);
  EXPECT_EQ(chosen("Q4_K_S", "blk.1.ffn_down.weight", {512, 256}), DType::kQ5_K);
  EXPECT_EQ(chosen("Q4_K_M", "blk.1.attn_v.weight", {256, 64}, true), DType::kQ4_K);
}

TEST(FileType, TheOutputIsKeptFiner) {
  EXPECT_EQ(chosen("Q4_0", "output.weight", {256, 1000}), DType::kQ6_K);
  EXPECT_EQ(chosen("Q8_0", "output.weight", {256, 1000}), DType::kQ8_0);
  EXPECT_EQ(chosen("F16", "output.weight", {256, 1000}), DType::kF16);
  EXPECT_EQ(chosen("Q4_0", "token_embd.weight", {256, 1000}), DType::kQ4_0);
  EXPECT_EQ(chosen("Q4_0", "output.weight", {256, 1000}, true), DType::kQ4_0);
  const TensorMixture tied{.type = *find_file_type("Q4_0"), .layers = 16};
  EXPECT_EQ(dtype_in_mixture(tied, {.name = "token_embd.weight", .dimensions = {256, 1000}}),
            DType::kQ6_K);
}

TEST(FileType, RowsThatAreNoWholeBlocksFallBack) {
  EXPECT_EQ(chosen("Q4_K_M", "blk.3.attn_q.weight", {576, 576}), DType::kQ5_0);
  EXPECT_EQ(chosen("Q5_K_M", "blk.3.attn_q.weight", {576, 576}), DType::kQ5_1);
  EXPECT_EQ(chosen("Q6_K", "blk.3.attn_q.weight", {576, 576}), DType::kQ8_0);
  EXPECT_EQ(chosen("Q4_0", "output.weight", {576, 1000}), DType::kQ8_0);
  EXPECT_EQ(chosen("Q4_K_M", "blk.3.attn_q.weight", {100, 100}), DType::kF16);
  EXPECT_EQ(chosen("Q4_0", "blk.3.attn_q.weight", {1, 100}), DType::kF16);
}

}  // namespace
}  // namespace spillway::model
