// Hostile headers and metadata: the classes of the published GGUF security reports. Each is refused
// with a message that has the place and the value.
#include <fmt/format.h>

#include <cstdint>

#include "parse.h"

namespace spillway::formats {
namespace {

constexpr uint64_t kHuge[] = {1000,
                              uint64_t{1} << 31,
                              uint64_t{1} << 32,
                              uint64_t{1} << 60,
                              (uint64_t{1} << 61) + 1,
                              uint64_t{1} << 63,
                              UINT64_MAX};

TEST(GgufRefuse, OtherFiles) {
  expect_bad({}, {"magic", "0"});
  expect_bad(GgufBytes().raw("GGU").bytes(), {"magic", "3"});
  expect_bad(GgufBytes().raw("PK\x03\x04 a zip file instead").bytes(),
             {"no GGUF file", "'PK\\x03\\x04'"});
}

TEST(GgufRefuse, OtherVersions) {
  for (const uint32_t version : {0U, 1U, 4U, UINT32_MAX}) {
    GgufBuilder builder = sound_builder();
    builder.version = version;
    expect_bad(builder.build(), {fmt::format("version {}", version), "2 and 3"});
  }
}

TEST(GgufRefuse, BigEndian) {
  for (const char* magic : {"GGUF", "FUGG"}) {
    GgufBuilder builder = sound_builder();
    builder.magic = magic;
    builder.version = 0x03000000;
    expect_bad(builder.build(), {"big-endian"});
  }
}

TEST(GgufRefuse, CountsThatTheFileCannotHold) {
  for (const uint64_t count : kHuge) {
    GgufBuilder tensors = sound_builder();
    tensors.tensor_count = count;
    expect_bad(tensors.build(), {"tensor count", std::to_string(count), "offset 8"});
    GgufBuilder pairs = sound_builder();
    pairs.pair_count = count;
    expect_bad(pairs.build(), {"metadata count", std::to_string(count), "offset 16"});
  }
}

// The counts fit into the file, but the metadata does not end where the tensors begin.
TEST(GgufRefuse, CountsThatAreWrongByOne) {
  for (const uint64_t count : {3U, 5U}) {
    GgufBuilder builder = sound_builder();
    builder.pair_count = count;
    EXPECT_FALSE(parse(builder.build())) << count;
  }
  GgufBuilder builder = sound_builder();
  builder.tensor_count = 3;
  EXPECT_FALSE(parse(builder.build()));
}

TEST(GgufRefuse, StringLengthsPastTheEnd) {
  for (const uint64_t length : kHuge) {
    GgufBuilder value;
    value.add_raw("name", 8, GgufBytes().text("abc", length).bytes());
    expect_bad(value.build(), {"'name'", "string length", std::to_string(length)});

    GgufBytes strings;
    strings.number(uint32_t{8}).number(uint64_t{2}).text("a").text("b", length);
    GgufBuilder array;
    array.add_raw("tokens", kGgufArray, strings.bytes());
    expect_bad(array.build(), {"'tokens'", "string length", std::to_string(length)});

    GgufBytes key;
    key.raw("GGUF").number(uint32_t{3}).number(uint64_t{0}).number(uint64_t{1});
    key.text("key", length).number(uint32_t{7}).number(true);
    expect_bad(key.bytes(), {"key length", std::to_string(length)});
  }
}

TEST(GgufRefuse, ArrayLengthsPastTheEnd) {
  for (const uint32_t type : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 10U, 11U, 12U}) {
    for (const uint64_t length : kHuge) {
      SCOPED_TRACE(fmt::format("type {} length {}", type, length));
      GgufBuilder builder;
      builder.add_raw("list", kGgufArray, GgufBytes().number(type).number(length).bytes());
      expect_bad(builder.build(), {"'list'", "array length", std::to_string(length)});

      GgufBytes nested;
      nested.number(kGgufArray).number(uint64_t{1}).number(type).number(length);
      GgufBuilder deeper;
      deeper.add_raw("list", kGgufArray, nested.bytes());
      expect_bad(deeper.build(), {"'list'", "array length", std::to_string(length)});
    }
  }
}

// One element more than the file holds, for elements of more than one byte.
TEST(GgufRefuse, ArraysThatEndInTheMiddleOfAnElement) {
  GgufBytes array;
  array.number(uint32_t{4}).number(uint64_t{2}).number(uint32_t{1}).raw("abc");
  GgufBuilder builder;
  builder.add_raw("list", kGgufArray, array.bytes());
  expect_bad(builder.build(), {"'list'", "array length 2", "at most 1"});
}

TEST(GgufRefuse, UnknownTypesOfValues) {
  for (const uint32_t type : {13U, 14U, 255U, 0x80000000U, UINT32_MAX}) {
    GgufBuilder value;
    value.add_raw("what", type, std::vector<std::byte>(64));
    expect_bad(value.build(), {"'what'", fmt::format("type {}", type)});

    GgufBytes array;
    array.number(type).number(uint64_t{1}).number(uint64_t{0});
    GgufBuilder elements;
    elements.add_raw("what", kGgufArray, array.bytes());
    expect_bad(elements.build(), {"'what'", fmt::format("type {}", type)});

    GgufBuilder nested;
    nested.add_raw(
        "what", kGgufArray,
        GgufBytes().number(kGgufArray).number(uint64_t{1}).append(array.bytes()).bytes());
    expect_bad(nested.build(), {"'what'", fmt::format("type {}", type)});
  }
}

TEST(GgufRefuse, ArraysThatNestTooDeep) {
  constexpr int kDeepest = 4;
  for (const int depth : {kDeepest, kDeepest + 1, 1000, 100'000}) {
    GgufBytes nested;
    for (int i = 1; i < depth; ++i) nested.number(kGgufArray).number(uint64_t{1});
    nested.number(uint32_t{0}).number(uint64_t{1}).number(uint8_t{5});
    GgufBuilder builder;
    builder.add_raw("deep", kGgufArray, nested.bytes());
    if (depth <= kDeepest) {
      EXPECT_TRUE(parse(builder.build())) << depth;
    } else {
      expect_bad(builder.build(), {"'deep'", "deeper than 4"});
    }
  }
}

TEST(GgufRefuse, BoolsThatAreNeitherTrueNorFalse) {
  GgufBuilder value;
  value.add_raw("flag", 7, GgufBytes().number(uint8_t{2}).bytes());
  expect_bad(value.build(), {"'flag'", "bool 2"});

  GgufBytes array;
  array.number(uint32_t{7}).number(uint64_t{2}).number(true).number(uint8_t{255});
  GgufBuilder elements;
  elements.add_raw("flags", kGgufArray, array.bytes());
  expect_bad(elements.build(), {"'flags'", "bool 255"});
  GgufBuilder nested;
  nested.add_raw("flags", kGgufArray,
                 GgufBytes().number(kGgufArray).number(uint64_t{1}).append(array.bytes()).bytes());
  expect_bad(nested.build(), {"'flags'", "bool 255"});
}

TEST(GgufRefuse, KeysThatAreEmptyOrTooLong) {
  expect_bad(GgufBuilder().add("", "value").build(), {"key length 0"});
  EXPECT_TRUE(parse(GgufBuilder().add(std::string(65535, 'k'), true).build()));
  expect_bad(GgufBuilder().add(std::string(65536, 'k'), true).build(), {"key length 65536"});
}

TEST(GgufRefuse, KeysThatOccurTwice) {
  GgufBuilder builder = sound_builder();
  builder.add("again", true).add("between", "x").add("again", uint32_t{5});
  expect_bad(builder.build(), {"key 'again'", "twice"});
}

TEST(GgufRefuse, AlignmentsOfAnotherType) {
  const auto with = [](const auto& alignment) {
    return GgufBuilder().add("general.alignment", alignment).build();
  };
  expect_bad(with("32"), {"general.alignment", "type"});
  expect_bad(with(32.0F), {"general.alignment", "type"});
  expect_bad(with(true), {"general.alignment", "type"});
  expect_bad(with(int32_t{-32}), {"general.alignment", "-32"});
  expect_bad(GgufBuilder().add_array<uint32_t>("general.alignment", {32}).build(),
             {"general.alignment", "type"});
}

TEST(GgufRefuse, AlignmentsThatAreNoPowersOfTwoInBounds) {
  for (const uint64_t alignment :
       {uint64_t{0}, uint64_t{1}, uint64_t{4}, uint64_t{33}, uint64_t{48}, uint64_t{1} << 21,
        uint64_t{1} << 63, UINT64_MAX}) {
    expect_bad(GgufBuilder().add("general.alignment", alignment).build(),
               {fmt::format("general.alignment is {}", alignment), "power of two"});
  }
}

// Messages go to a terminal: what a file says in them is escaped and cut.
TEST(GgufRefuse, MessagesCarryNoControlCharacters) {
  GgufBuilder builder;
  builder.add("\x1b[2J\n" + std::string(10'000, 'k'), true);
  builder.add("\x1b[2J\n" + std::string(10'000, 'k'), true);
  const auto file = parse(builder.build());
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, testing::HasSubstr("\\x1b[2J\\x0a"));
  EXPECT_LT(file.error().message.size(), 300U);
  for (const char c : file.error().message) EXPECT_FALSE(c >= 0 && c < ' ');
}

}  // namespace
}  // namespace spillway::formats
