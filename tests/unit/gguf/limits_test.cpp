// What a hostile header may cost: memory, time and reads.
#include <fmt/format.h>

#include <cstdint>

#include "base/units.h"
#include "parse.h"

namespace spillway::formats {
namespace {

// What the limit must at least be for the file to be accepted.
uint64_t least_limit(const std::vector<std::byte>& content) {
  uint64_t refused = 0;
  uint64_t accepted = kGiB;
  while (accepted - refused > 1) {
    const uint64_t middle = refused + (accepted - refused) / 2;
    (parse(content, {.memory_bytes = middle}) ? accepted : refused) = middle;
  }
  return accepted;
}

void expect_limit_covers(const GgufBuilder& builder) {
  const std::vector<std::byte> content = builder.build();
  const uint64_t limit = least_limit(content);
  const auto refused = parse(content, {.memory_bytes = limit - 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget) << refused.error().message;
  const auto file = parse(content, {.memory_bytes = limit});
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_LE(file->memory_bytes(), limit);
  EXPECT_LE(limit, file->memory_bytes() * 5 / 4 + 256) << "charges far more than it holds";
}

TEST(GgufLimits, WhatIsKeptIsNeverMoreThanTheLimit) {
  expect_limit_covers(sound_builder());

  GgufBuilder pairs;
  for (int i = 0; i < 1000; ++i) pairs.add(fmt::format("a.rather.long.key.number.{}", i), true);
  expect_limit_covers(pairs);

  GgufBuilder tensors;
  for (int i = 0; i < 1000; ++i) {
    tensors.add_tensor(fmt::format("blk.{}.attention_something.weight", i), DType::kF32, {8, 1},
                       std::vector<std::byte>(32));
  }
  expect_limit_covers(tensors);

  GgufBuilder arrays;
  arrays.add_array("bytes", std::vector<uint8_t>(5000));
  arrays.add_array("doubles", std::vector<double>(5000));
  arrays.add_array("strings", std::vector<std::string>(5000, "token"));
  arrays.add("template", std::string(5000, 't'));
  expect_limit_covers(arrays);
}

// A file of zeros costs its author nothing. 2^62 of them after a count that they could hold.
TEST(GgufLimits, SparseFilesDoNotTakeMoreThanTheLimit) {
  for (const uint32_t element_type : {0U, 6U, 7U, 8U, 9U, 11U}) {
    SCOPED_TRACE(element_type);
    GgufBytes array;
    array.number(element_type).number(uint64_t{1} << 50);
    GgufBuilder builder;
    builder.add_raw("huge", kGgufArray, array.bytes());
    MemoryFile sparse(builder.build());
    sparse.set_size(uint64_t{1} << 62);
    const auto file = GgufFile::parse(sparse, {.memory_bytes = kMiB});
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::kBudget) << file.error().message;
    EXPECT_LE(sparse.bytes_read(), 16 * kMiB);
  }
}

TEST(GgufLimits, SparseFilesDoNotTakeMoreThanTheDefaultLimit) {
  for (const uint32_t element_type : {0U, 7U, 8U}) {
    SCOPED_TRACE(element_type);
    GgufBytes array;
    array.number(element_type).number(uint64_t{1} << 59);
    GgufBuilder builder;
    builder.add_raw("huge", kGgufArray, array.bytes());
    MemoryFile sparse(builder.build());
    sparse.set_size(uint64_t{1} << 63);
    const auto file = GgufFile::parse(sparse);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::kBudget) << file.error().message;
  }
}

TEST(GgufLimits, ALongSparseStringIsNotRead) {
  GgufBytes text;
  text.number(uint64_t{1} << 40);
  GgufBuilder builder;
  builder.add_raw("huge", 8, text.bytes());
  MemoryFile sparse(builder.build());
  sparse.set_size(uint64_t{1} << 41);
  const auto file = GgufFile::parse(sparse, {.memory_bytes = kMiB});
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kBudget);
  EXPECT_EQ(sparse.reads(), 1U);
}

// The header is read through a small buffer, a bounded number of times over, and the data never.
TEST(GgufLimits, ReadsAreLinearInTheHeader) {
  GgufBuilder builder;
  for (int i = 0; i < 40; ++i) {
    builder.add_array<std::string>(fmt::format("texts.{}", i),
                                   {std::string(60'000, 'x'), "y", std::string(9'000, 'z')});
  }
  builder.add_array("tokens", std::vector<std::string>(200'000, "token"));
  const size_t header_bytes = builder.build_header().size();
  builder.add_tensor("w", DType::kF32, {kMiB, 8}, std::vector<std::byte>(32 * kMiB));
  const MemoryFile file(builder.build());
  ASSERT_TRUE(GgufFile::parse(file));
  EXPECT_LE(file.bytes_read(), 3 * header_bytes + kMiB);
  EXPECT_LE(file.largest_read(), 256 * kKiB);
  EXPECT_LE(file.reads(), 3 * header_bytes / (32 * kKiB));
}

// Two tensors over the same bytes would let a small file claim any amount of weights.
TEST(GgufLimits, OverlappingTensorsAreRefused) {
  GgufBuilder builder;
  builder.add_tensor("a", DType::kF32, {64}, std::vector<std::byte>(256));
  builder.add_tensor({.name = "b",
                      .type = 0,
                      .dimensions = {64},
                      .data = {},
                      .dimension_count = {},
                      .offset = 224});
  builder.add_tensor("c", DType::kF32, {64}, std::vector<std::byte>(256));
  expect_bad(builder.build(), {"'a'", "'b'", "overlap"});
}

TEST(GgufLimits, TensorsMayLieInAnyOrder) {
  GgufBuilder builder;
  for (const uint64_t offset : {512U, 0U, 256U}) {
    builder.add_tensor({.name = fmt::format("at{}", offset),
                        .type = 0,
                        .dimensions = {64},
                        .data = std::vector<std::byte>(256),
                        .dimension_count = {},
                        .offset = offset});
  }
  const auto file = parse(builder.build());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->find_tensor("at256")->offset, file->data_offset() + 256);
}

}  // namespace
}  // namespace spillway::formats
