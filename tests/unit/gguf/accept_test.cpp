// Sound files: every type of value, tensors in every layout, and what is found in them.
#include <cstdint>
#include <limits>
#include <variant>

#include "parse.h"

namespace spillway::formats {
namespace {

using testing::ElementsAre;

GgufFile parsed(const GgufBuilder& builder) {
  auto file = parse(builder.build());
  EXPECT_TRUE(file) << file.error().message;
  return file ? *std::move(file) : GgufFile();
}

template <typename T>
T value_of(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.find(key);
  const T* held = value == nullptr ? nullptr : std::get_if<T>(value);
  EXPECT_NE(held, nullptr) << key << " is missing or of another type";
  return held == nullptr ? T() : *held;
}

std::vector<std::string> strings_of(const GgufFile& file, std::string_view key) {
  const auto array = value_of<StringArray>(file, key);
  std::vector<std::string> strings;
  for (size_t i = 0; i < array.size(); ++i) strings.emplace_back(array[i]);
  return strings;
}

template <typename Stored, typename Kept>
void expect_widened() {
  SCOPED_TRACE(test::gguf_type<Stored>());
  const Stored least = std::numeric_limits<Stored>::lowest();
  const Stored most = std::numeric_limits<Stored>::max();
  GgufBuilder builder;
  builder.add("least", least).add("most", most);
  builder.add_array("array", std::vector<Stored>{least, most, Stored{1}});
  const GgufFile file = parsed(builder);
  EXPECT_EQ(value_of<Kept>(file, "least"), static_cast<Kept>(least));
  EXPECT_EQ(value_of<Kept>(file, "most"), static_cast<Kept>(most));
  EXPECT_THAT(value_of<std::vector<Kept>>(file, "array"),
              ElementsAre(static_cast<Kept>(least), static_cast<Kept>(most), Kept{1}));
}

TEST(GgufAccept, IntegersOfAllWidthsAreWidened) {
  expect_widened<uint8_t, uint64_t>();
  expect_widened<uint16_t, uint64_t>();
  expect_widened<uint32_t, uint64_t>();
  expect_widened<uint64_t, uint64_t>();
  expect_widened<int8_t, int64_t>();
  expect_widened<int16_t, int64_t>();
  expect_widened<int32_t, int64_t>();
  expect_widened<int64_t, int64_t>();
}

TEST(GgufAccept, FloatsAreDoublesAloneAndFloatsInArrays) {
  GgufBuilder builder;
  builder.add("float", 1.5F).add("double", 1e300);
  builder.add_array<float>("floats", {1.5F, -2.0F})
      .add_array<double>("doubles", {0.1, 1e300, -1e300});
  const GgufFile file = parsed(builder);
  EXPECT_EQ(value_of<double>(file, "float"), 1.5);
  EXPECT_EQ(value_of<double>(file, "double"), 1e300);
  EXPECT_THAT(value_of<std::vector<float>>(file, "floats"), ElementsAre(1.5F, -2.0F));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(value_of<std::vector<float>>(file, "doubles"),
              ElementsAre(0.1F, kInfinity, -kInfinity));
}

TEST(GgufAccept, BoolsAndStrings) {
  GgufBuilder builder;
  const std::string with_zero("a\0b", 3);
  builder.add("yes", true).add("no", false).add("text", with_zero).add("empty", "");
  GgufBytes bools;
  bools.number(test::gguf_type<bool>()).number(uint64_t{3}).number(true).number(false).number(true);
  builder.add_raw("bools", kGgufArray, bools.bytes());
  builder.add_array<std::string>("strings", {"one", "", with_zero, std::string(300'000, 'x')});
  builder.add_array<std::string>("no strings", {});
  const GgufFile file = parsed(builder);
  EXPECT_TRUE(value_of<bool>(file, "yes"));
  EXPECT_FALSE(value_of<bool>(file, "no"));
  EXPECT_EQ(value_of<std::string>(file, "text"), with_zero);
  EXPECT_EQ(value_of<std::string>(file, "empty"), "");
  EXPECT_THAT(value_of<std::vector<bool>>(file, "bools"), ElementsAre(true, false, true));
  EXPECT_THAT(strings_of(file, "strings"),
              ElementsAre("one", "", with_zero, std::string(300'000, 'x')));
  EXPECT_THAT(strings_of(file, "no strings"), ElementsAre());
}

TEST(GgufAccept, NestedArraysAreSkipped) {
  GgufBytes inner;
  inner.number(test::gguf_type<std::string>()).number(uint64_t{2}).text("deep").text("");
  GgufBytes nested;
  nested.number(kGgufArray).number(uint64_t{2});
  nested.number(kGgufArray).number(uint64_t{1}).append(inner.bytes());
  nested.number(test::gguf_type<int16_t>()).number(uint64_t{1}).number(int16_t{-1});
  GgufBuilder builder;
  builder.add_raw("nested", kGgufArray, nested.bytes()).add("behind", "found");
  const GgufFile file = parsed(builder);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*file.find("nested")));
  EXPECT_EQ(file.string_value("behind").value(), "found");
}

TEST(GgufAccept, VersionsTwoAndThree) {
  for (const uint32_t version : {2U, 3U}) {
    GgufBuilder builder = sound_builder();
    builder.version = version;
    EXPECT_EQ(parsed(builder).version(), version);
  }
}

TEST(GgufAccept, AnEmptyFileOfMetadataAndTensors) {
  const GgufFile file = parsed(GgufBuilder());
  EXPECT_TRUE(file.metadata().empty());
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_EQ(file.alignment(), 32U);
  EXPECT_EQ(file.find("a"), nullptr);
  EXPECT_EQ(file.find_tensor("a"), nullptr);
}

TEST(GgufAccept, TensorsLieWhereTheirOffsetsSay) {
  const GgufBuilder builder = sound_builder();
  const std::vector<std::byte> content = builder.build();
  const GgufFile file = parsed(builder);
  ASSERT_EQ(file.tensors().size(), 2U);
  const GgufTensor& first = file.tensors()[0];
  const GgufTensor* second = file.find_tensor("second");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second, &file.tensors()[1]);
  EXPECT_EQ(file.find_tensor("third"), nullptr);
  EXPECT_EQ(file.data_offset() % 32, 0U);
  EXPECT_EQ(first.offset, file.data_offset());
  EXPECT_EQ(first.size_bytes, 32U);
  EXPECT_THAT(first.dimensions, ElementsAre(4U, 2U));
  EXPECT_EQ(second->dtype, DType::kQ4_1);
  EXPECT_EQ(second->columns(), 64U);
  EXPECT_EQ(second->rows(), 3U);
  EXPECT_EQ(second->offset, file.data_offset() + 32);
  EXPECT_EQ(second->size_bytes, 120U);
  EXPECT_EQ(second->offset + 128, content.size());
}

TEST(GgufAccept, EveryDtypeHasItsSize) {
  struct Case {
    DType dtype;
    uint64_t bytes;  // of 512 elements; by the GGUF specification's block sizes
  };
  constexpr Case kCases[] = {{DType::kF32, 2048}, {DType::kF16, 1024}, {DType::kBF16, 1024},
                             {DType::kQ4_0, 288}, {DType::kQ4_1, 320}, {DType::kQ5_0, 352},
                             {DType::kQ5_1, 384}, {DType::kQ8_0, 544}, {DType::kQ2_K, 168},
                             {DType::kQ3_K, 220}, {DType::kQ4_K, 288}, {DType::kQ5_K, 352},
                             {DType::kQ6_K, 420}};
  for (const Case& c : kCases) {
    GgufBuilder builder;
    builder.add_tensor("w", c.dtype, {256, 1, 2}, std::vector<std::byte>(c.bytes));
    const GgufFile file = parsed(builder);
    ASSERT_EQ(file.tensors().size(), 1U);
    EXPECT_EQ(file.tensors()[0].size_bytes, c.bytes) << dtype_info(c.dtype).name;
  }
}

TEST(GgufAccept, AlignmentsArePowersOfTwoFromEight) {
  for (const uint32_t alignment : {8U, 16U, 64U, 4096U}) {
    GgufBuilder builder;
    builder.alignment = alignment;
    builder.add("general.alignment", alignment);
    builder.add_tensor("a", DType::kF32, {1}, std::vector<std::byte>(4));
    builder.add_tensor("b", DType::kF32, {1}, std::vector<std::byte>(4));
    const GgufFile file = parsed(builder);
    ASSERT_EQ(file.tensors().size(), 2U);
    EXPECT_EQ(file.alignment(), alignment);
    EXPECT_EQ(file.data_offset() % alignment, 0U);
    EXPECT_EQ(file.tensors()[1].offset, file.data_offset() + alignment);
  }
}

// Writers differ in whether they pad behind the last tensor.
TEST(GgufAccept, TheLastTensorNeedsNoPadding) {
  std::vector<std::byte> content = sound_builder().build();
  content.resize(content.size() - 8);
  EXPECT_TRUE(parse(content));
  content.resize(content.size() - 1);
  expect_bad(content, {"'second'", "120 bytes", "download"});
}

}  // namespace
}  // namespace spillway::formats
