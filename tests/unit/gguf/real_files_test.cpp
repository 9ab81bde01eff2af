// Real files, through the real platform. What they hold was read by the `gguf` package:
//   tests/unit/gguf/digest.py models/SmolLM2-135M-Instruct.Q4_1.gguf
//   ../shared/data/tokenizers/*.gguf
#include <cstdint>
#include <filesystem>

#include "base/units.h"
#include "parse.h"
#include "platform/linux/linux_platform.h"

namespace spillway::formats {
namespace {

constexpr const char* kModel = SPILLWAY_SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";

// FNV-1a, 64 bits.
class Digest {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001B3;
    }
  }
  void add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      const char byte = static_cast<char>(number >> shift & 0xFF);
      add(std::string_view(&byte, 1));
    }
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xCBF29CE484222325;
};

uint64_t digest_of(const std::vector<GgufTensor>& tensors) {
  Digest digest;
  for (const GgufTensor& tensor : tensors) {
    digest.add(tensor.name);
    digest.add(static_cast<uint64_t>(tensor.dtype));
    for (const uint64_t dimension : tensor.dimensions) digest.add(dimension);
    digest.add(tensor.offset);
    digest.add(tensor.size_bytes);
  }
  return digest.value();
}

uint64_t digest_of(const StringArray& strings) {
  Digest digest;
  for (size_t i = 0; i < strings.size(); ++i) {
    digest.add(strings[i]);
    digest.add(std::string_view("\0", 1));
  }
  return digest.value();
}

struct Expected {
  const char* name;
  size_t tensors;
  uint64_t tensors_digest;
  size_t pairs;
  size_t tokens;
  uint64_t tokens_digest;
  size_t merges;
};

void expect_file(const std::string& path, const Expected& expected) {
  const auto platform = platform::make_linux_platform();
  const auto opened = platform->open(path, {});
  ASSERT_TRUE(opened) << opened.error().message;
  const auto file = GgufFile::parse(**opened);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3U);
  EXPECT_EQ(file->tensors().size(), expected.tensors);
  EXPECT_EQ(digest_of(file->tensors()), expected.tensors_digest);
  EXPECT_EQ(file->metadata().size(), expected.pairs);
  const auto* tokens = std::get_if<StringArray>(file->find("tokenizer.ggml.tokens"));
  ASSERT_NE(tokens, nullptr);
  EXPECT_EQ(tokens->size(), expected.tokens);
  EXPECT_EQ(digest_of(*tokens), expected.tokens_digest);
  const GgufValue* merges = file->find("tokenizer.ggml.merges");
  EXPECT_EQ(merges == nullptr ? 0 : std::get<StringArray>(*merges).size(), expected.merges);
}

TEST(GgufRealFiles, SmolLM2) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << kModel << " is missing: run tools/model";
  expect_file(kModel, {"", 272, 0xA0D241B5AEB97F77, 33, 49152, 0x3FF3B2EF50DFD8CA, 48900});
}

TEST(GgufRealFiles, SmolLM2Values) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << kModel << " is missing: run tools/model";
  const auto platform = platform::make_linux_platform();
  const auto opened = platform->open(kModel, {});
  ASSERT_TRUE(opened) << opened.error().message;
  const auto file = GgufFile::parse(**opened, {.memory_bytes = 4 * kMiB});
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->alignment(), 32U);
  EXPECT_EQ(file->data_offset(), 1785664U);
  EXPECT_EQ(file->string_value("general.architecture").value(), "llama");
  EXPECT_EQ(file->unsigned_value("llama.block_count").value(), 30U);
  EXPECT_EQ(file->unsigned_value("llama.attention.head_count_kv").value(), 3U);
  EXPECT_EQ(file->float_value("llama.rope.freq_base").value(), 100000.0);
  EXPECT_FALSE(file->bool_value("tokenizer.ggml.add_bos_token").value());
  EXPECT_EQ(file->string_value("tokenizer.ggml.pre").value(), "smollm");
  const GgufTensor* embedding = file->find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->columns(), 576U);
  EXPECT_EQ(embedding->rows(), 49152U);
}

class GgufVocabularies : public testing::TestWithParam<Expected> {};

TEST_P(GgufVocabularies, AsTheGgufPackageReadsThem) {
  const std::string path = std::string(SPILLWAY_SHARED_DATA "/tokenizers/") + GetParam().name;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "shared data is missing: " << path;
  expect_file(path, GetParam());
}

constexpr uint64_t kNothing = 0xCBF29CE484222325;  // the digest of no tensors

INSTANTIATE_TEST_SUITE_P(
    Shared, GgufVocabularies,
    testing::Values(
        Expected{"ggml-vocab-deepseek-llm.gguf", 0, kNothing, 23, 102400, 0x80F01AC7C6A591F4,
                 99757},
        Expected{"ggml-vocab-gpt-2.gguf", 0, kNothing, 16, 50257, 0x9AFB947B6443B4B9, 50000},
        Expected{"ggml-vocab-llama-spm.gguf", 0, kNothing, 22, 32000, 0xD0FFD146DB872A00, 0},
        Expected{"ggml-vocab-phi-3.gguf", 0, kNothing, 26, 32064, 0xDA0AEE2FC0CC050B, 0},
        Expected{"ggml-vocab-starcoder.gguf", 0, kNothing, 19, 49152, 0xBA80219E94DAC8F7, 48872}));

}  // namespace
}  // namespace spillway::formats
