// Files that end early, reads that fail, and files that change while they are read.
#include <fmt/format.h>

#include <cstdint>

#include "parse.h"

namespace spillway::formats {
namespace {

// A header with every type of value in it.
GgufBuilder varied_builder() {
  GgufBuilder builder = sound_builder();
  builder.add("u8", uint8_t{1})
      .add("i8", int8_t{-1})
      .add("u16", uint16_t{1})
      .add("i16", int16_t{1});
  builder.add("u32", uint32_t{1}).add("i32", int32_t{1}).add("u64", uint64_t{1});
  builder.add("i64", int64_t{1}).add("f32", 1.0F).add("f64", 1.0).add("flag", true);
  builder.add_array<int32_t>("types", {1, 2, 3}).add_array<uint64_t>("wide", {1, 2});
  GgufBytes nested;
  nested.number(kGgufArray).number(uint64_t{2});
  nested.number(uint32_t{8}).number(uint64_t{1}).text("deep");
  nested.number(uint32_t{7}).number(uint64_t{2}).number(true).number(false);
  builder.add_raw("nested", kGgufArray, nested.bytes());
  return builder;
}

TEST(GgufBrokenReads, TruncationAtEveryByteOfTheHeader) {
  const GgufBuilder builder = varied_builder();
  const std::vector<std::byte> content = builder.build();
  ASSERT_TRUE(parse(content));
  const size_t header_bytes = builder.build_header().size();
  for (size_t size = 0; size < content.size() - 8; ++size) {  // the last 8 are padding
    SCOPED_TRACE(size);
    const std::vector<std::byte> cut(content.begin(), content.begin() + static_cast<long>(size));
    const auto file = parse(cut);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::kBadFile) << file.error().message;
    if (size >= header_bytes) {
      EXPECT_THAT(file.error().message, testing::HasSubstr("download"));
    }
  }
}

// The file keeps its size, but from some byte on it is zeros or ones: a copy that stopped.
TEST(GgufBrokenReads, OverwrittenFromEveryByteOfTheHeader) {
  const GgufBuilder builder = varied_builder();
  const std::vector<std::byte> content = builder.build();
  const size_t header_bytes = builder.build_header().size();
  for (const std::byte fill : {std::byte{0}, std::byte{0xFF}, std::byte{0x7F}}) {
    for (size_t begin = 0; begin < header_bytes; ++begin) {
      std::vector<std::byte> changed = content;
      std::fill(changed.begin() + static_cast<long>(begin), changed.end(), fill);
      const auto file = parse(changed);
      if (fill != std::byte{0}) {
        EXPECT_FALSE(file) << "from " << begin;
      }
      if (!file) {
        EXPECT_EQ(file.error().code, ErrorCode::kBadFile) << file.error().message;
      }
    }
  }
}

TEST(GgufBrokenReads, AnyReadThatFails) {
  GgufBuilder builder;
  builder.add_array("tokens", std::vector<std::string>(100'000, "token")).add("behind", true);
  MemoryFile sound(builder.build());
  ASSERT_TRUE(GgufFile::parse(sound));
  ASSERT_GE(sound.reads(), 3U);
  for (uint64_t failing = 1; failing <= sound.reads(); ++failing) {
    MemoryFile file(builder.build());
    file.before_read([=](uint64_t read) -> Result<void> {
      if (read == failing) return fail(ErrorCode::kMachine, "the disk is on fire");
      return {};
    });
    const auto parsed = GgufFile::parse(file);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kMachine);
    EXPECT_THAT(parsed.error().message, testing::HasSubstr("the disk is on fire"));
    EXPECT_EQ(file.reads(), failing) << "it went on after the failure";
  }
}

TEST(GgufBrokenReads, TruncatedWhileItIsRead) {
  GgufBuilder builder;
  builder.add_array("tokens", std::vector<std::string>(100'000, "token"));
  MemoryFile file(builder.build());
  file.before_read([&](uint64_t read) -> Result<void> {
    if (read == 2) file.replace(std::vector<std::byte>(1000));
    return {};
  });
  const auto parsed = GgufFile::parse(file);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(parsed.error().message, testing::HasSubstr("truncated it since"));
}

// Lengths are read twice; the second time they may be others.
TEST(GgufBrokenReads, RewrittenWhileItIsRead) {
  const auto build = [](const std::string& first) {
    GgufBuilder builder;
    std::vector<std::string> strings(100'000, "token");
    strings[0] = first;
    builder.add_array("tokens", strings);
    return builder.build();
  };
  const std::vector<std::byte> before = build("token");
  const std::vector<std::byte> after = build(std::string(900'000, 'x'));
  ASSERT_GE(after.size(), before.size());
  const MemoryFile counted(before);
  ASSERT_TRUE(GgufFile::parse(counted));
  int longer = 0;
  for (uint64_t changing = 2; changing <= counted.reads(); ++changing) {
    MemoryFile file(before);
    file.before_read([&](uint64_t read) -> Result<void> {
      if (read == changing) file.replace(after);
      return {};
    });
    const auto parsed = GgufFile::parse(file);
    if (parsed) continue;
    EXPECT_EQ(parsed.error().code, ErrorCode::kBadFile);
    if (parsed.error().message.find("became longer") != std::string::npos) ++longer;
  }
  EXPECT_GT(longer, 0);
}

}  // namespace
}  // namespace spillway::formats
