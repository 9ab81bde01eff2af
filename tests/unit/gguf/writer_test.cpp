// Headers that are written are read again as they were meant.
#include "formats/gguf_writer.h"

#include <cstring>

#include "parse.h"

namespace spillway::formats {
namespace {

std::vector<std::byte> file_of(const GgufHeader& header) {
  const std::string bytes = header.bytes();
  std::vector<std::byte> file(header.file_bytes());
  std::memcpy(file.data(), bytes.data(), bytes.size());
  return file;
}

TEST(GgufWriter, EveryKindOfValueComesBack) {
  GgufHeader header(64);
  header.add("general.alignment", uint32_t{64});
  header.add("text", "ab\xc3\xa9");
  header.add("number", 0.1F);
  header.add("yes", true);
  StringArray words;
  for (const char* word : {"a", "", "ccc"}) words.push_back(word);
  header.add("words", words);
  header.add("floats", std::vector<float>{1, -2});
  header.add("integers", std::vector<int32_t>{-1, 7, 0});
  header.add("bools", std::vector<bool>{true, false});
  header.add_tensor("a", DType::kF32, std::vector<uint64_t>{3});
  header.add_tensor("b", DType::kQ4_K, std::vector<uint64_t>{256, 2, 3});
  const auto file = parse(file_of(header));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->alignment(), 64U);
  EXPECT_EQ(*file->string_value("text"), "ab\xc3\xa9");
  EXPECT_EQ(static_cast<float>(*file->float_value("number")), 0.1F);
  EXPECT_TRUE(*file->bool_value("yes"));
  EXPECT_EQ(std::get<StringArray>(*file->find("words"))[2], "ccc");
  EXPECT_EQ(std::get<std::vector<float>>(*file->find("floats")), (std::vector<float>{1, -2}));
  EXPECT_EQ(std::get<std::vector<int64_t>>(*file->find("integers")),
            (std::vector<int64_t>{-1, 7, 0}));
  EXPECT_EQ(std::get<std::vector<bool>>(*file->find("bools")), (std::vector<bool>{true, false}));
  ASSERT_EQ(file->tensors().size(), 2U);
  EXPECT_EQ(file->tensors()[1].offset, file->data_offset() + 64);
  EXPECT_EQ(file->tensors()[1].size_bytes, 6 * 144U);
  EXPECT_EQ(file->tensors()[1].dimensions, (std::vector<uint64_t>{256, 2, 3}));
}

TEST(GgufWriter, CopiesPairsAsTheyLie) {
  const std::vector<std::byte> bytes = sound_builder().build();
  const auto source = parse(bytes);
  ASSERT_TRUE(source);
  GgufHeader header;
  for (size_t i = 0; i < source->metadata().size(); ++i) {
    const auto [begin, end] = source->pair_bytes(i);
    header.add_pair({reinterpret_cast<const char*>(bytes.data()) + begin, end - begin});
  }
  const auto copy = parse(file_of(header));
  ASSERT_TRUE(copy) << copy.error().message;
  ASSERT_EQ(copy->metadata().size(), source->metadata().size());
  for (size_t i = 0; i < copy->metadata().size(); ++i)
    EXPECT_EQ(copy->metadata()[i].first, source->metadata()[i].first);
  EXPECT_EQ(*copy->string_value("general.architecture"), "llama");
  EXPECT_EQ(std::get<std::vector<float>>(*copy->find("scores")), (std::vector<float>{1, 2, 3}));
}

}  // namespace
}  // namespace spillway::formats
