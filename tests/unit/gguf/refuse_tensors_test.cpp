// Hostile tensor infos: shapes, types, offsets, names.
#include <fmt/format.h>

#include <cstdint>

#include "parse.h"

namespace spillway::formats {
namespace {

constexpr uint32_t kF32 = 0;

GgufTensorFields sound_tensor() {
  return {.name = "w",
          .type = kF32,
          .dimensions = {8, 4},
          .data = std::vector<std::byte>(128),
          .dimension_count = {},
          .offset = {}};
}

void expect_tensor_refused(const GgufTensorFields& tensor, const std::vector<std::string>& parts) {
  expect_bad(GgufBuilder().add_tensor(tensor).build(), parts);
}

void expect_shape_refused(const std::vector<uint64_t>& dimensions,
                          const std::vector<std::string>& parts) {
  SCOPED_TRACE(fmt::format("{}", fmt::join(dimensions, " x ")));
  GgufTensorFields tensor = sound_tensor();
  tensor.dimensions = dimensions;
  expect_tensor_refused(tensor, parts);
}

TEST(GgufRefuseTensor, TheOneThatTheOthersBreakIsSound) {
  EXPECT_TRUE(parse(GgufBuilder().add_tensor(sound_tensor()).build()));
}

TEST(GgufRefuseTensor, NumbersOfDimensions) {
  for (const uint32_t count : {0U, 5U, 1000U, UINT32_MAX}) {
    GgufTensorFields tensor = sound_tensor();
    tensor.dimension_count = count;
    expect_tensor_refused(tensor, {"'w'", fmt::format("{} dimensions", count)});
  }
}

TEST(GgufRefuseTensor, ZeroDimensions) {
  expect_shape_refused({0}, {"'w'", "dimension 0 is 0"});
  expect_shape_refused({8, 0}, {"dimension 1 is 0"});
  expect_shape_refused({8, 4, 1, 0}, {"dimension 3 is 0"});
}

TEST(GgufRefuseTensor, NegativeDimensions) {
  expect_shape_refused({UINT64_MAX}, {"'w'", "-1"});
  expect_shape_refused({8, UINT64_MAX - 3}, {"-4"});
  // Their product is positive.
  expect_shape_refused({UINT64_MAX - 7, UINT64_MAX - 3}, {"-8"});
  expect_shape_refused({uint64_t{1} << 63}, {"-9223372036854775808"});
}

TEST(GgufRefuseTensor, ProductsThatWrap) {
  const auto power = [](unsigned bits) { return uint64_t{1} << bits; };
  // To 0, to 32 elements, to a negative count, and only in the last factor.
  expect_shape_refused({power(32), power(32)}, {"'w'", "product"});
  expect_shape_refused({power(59) + 1, 32}, {"product"});
  expect_shape_refused({power(32), power(31)}, {"product"});
  expect_shape_refused({power(16), power(16), power(16), power(16)}, {"product"});
  expect_shape_refused({3, 6148914691236517206}, {"product"});
}

TEST(GgufRefuseTensor, SizesInBytesThatWrap) {
  // 2^62 elements fit into 63 bits, their 2^64 bytes do not.
  expect_shape_refused({uint64_t{1} << 31, uint64_t{1} << 31}, {"'w'", "bytes"});
  // 2^62 + 32 elements wrap to 128 bytes, which the file has.
  expect_shape_refused({(uint64_t{1} << 62) + 32}, {"bytes"});
}

TEST(GgufRefuseTensor, SizesPastTheEnd) {
  expect_shape_refused({33}, {"'w'", "132 bytes", "offset 0", "128 bytes", "download"});
  expect_shape_refused({uint64_t{1} << 40}, {"4398046511104 bytes"});
  expect_shape_refused({uint64_t{1} << 61}, {"9223372036854775808 bytes"});
}

TEST(GgufRefuseTensor, OffsetsPastTheEnd) {
  for (const uint64_t offset : {uint64_t{32}, uint64_t{128}, uint64_t{160}, uint64_t{1} << 40,
                                uint64_t{1} << 63, UINT64_MAX - 31, UINT64_MAX - 127}) {
    GgufTensorFields tensor = sound_tensor();
    tensor.offset = offset;
    expect_tensor_refused(tensor, {"'w'", fmt::format("offset {}", offset), "past the end"});
  }
}

TEST(GgufRefuseTensor, OffsetsOffTheAlignment) {
  for (const uint64_t offset : {uint64_t{1}, uint64_t{8}, uint64_t{31}, UINT64_MAX}) {
    GgufTensorFields tensor = sound_tensor();
    tensor.offset = offset;
    expect_tensor_refused(tensor, {"'w'", fmt::format("offset {}", offset), "alignment 32"});
  }
}

TEST(GgufRefuseTensor, UnknownTypes) {
  // 4 and 5 were Q4_2 and Q4_3 once; 15 is Q8_K, 24 I8.
  for (const uint32_t type : {4U, 5U, 9U, 15U, 24U, 31U, 256U, 258U, UINT32_MAX}) {
    GgufTensorFields tensor = sound_tensor();
    tensor.type = type;
    expect_tensor_refused(tensor, {"'w'", fmt::format("type {}", type), "Q4_0"});
  }
}

TEST(GgufRefuseTensor, RowsThatAreNotWholeBlocks) {
  GgufTensorFields tensor = sound_tensor();
  tensor.type = static_cast<uint32_t>(DType::kQ4_1);
  tensor.dimensions = {48, 2};  // 96 elements would be whole blocks
  expect_tensor_refused(tensor, {"'w'", "48", "32", "Q4_1"});
  tensor.type = static_cast<uint32_t>(DType::kQ6_K);
  tensor.dimensions = {64, 4};
  expect_tensor_refused(tensor, {"'w'", "64", "256", "Q6_K"});
}

TEST(GgufRefuseTensor, Names) {
  GgufTensorFields tensor = sound_tensor();
  tensor.name = "";
  expect_tensor_refused(tensor, {"name length 0"});
  tensor.name = std::string(64, 'n');
  EXPECT_TRUE(parse(GgufBuilder().add_tensor(tensor).build()));
  tensor.name = std::string(65, 'n');
  expect_tensor_refused(tensor, {"name length 65"});
}

TEST(GgufRefuseTensor, NamesThatOccurTwice) {
  GgufBuilder builder = sound_builder();
  builder.add_tensor(sound_tensor())
      .add_tensor("first", DType::kF32, {1}, std::vector<std::byte>(4));
  expect_bad(builder.build(), {"tensor 'first'", "twice"});
}

TEST(GgufRefuseTensor, TensorsWithoutData) {
  const std::vector<std::byte> header = GgufBuilder().add_tensor(sound_tensor()).build_header();
  expect_bad(header, {"'w'", "0 bytes of data"});
}

}  // namespace
}  // namespace spillway::formats
