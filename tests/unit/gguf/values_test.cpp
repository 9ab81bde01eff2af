// Values under their keys: which types convert, what is missing, and moving them out.
#include <cstdint>
#include <variant>

#include "parse.h"

namespace spillway::formats {
namespace {

using testing::HasSubstr;

GgufFile values() {
  GgufBuilder builder;
  builder.add("u8", uint8_t{200}).add("i32", int32_t{7}).add("negative", int64_t{-7});
  builder.add("f32", 0.25F).add("flag", true).add("text", "llama");
  builder.add_array<std::string>("tokens", {"a", "bc"});
  return parse(builder.build()).value();
}

template <typename T>
void expect_error(const Result<T>& result, std::string_view key, std::string_view part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(result.error().message, HasSubstr(std::string(key)));
  EXPECT_THAT(result.error().message, HasSubstr(std::string(part)));
}

TEST(GgufValues, OfTheAskedType) {
  const GgufFile file = values();
  EXPECT_EQ(file.unsigned_value("u8").value(), 200U);
  EXPECT_EQ(file.unsigned_value("i32").value(), 7U);
  EXPECT_EQ(file.float_value("f32").value(), 0.25);
  EXPECT_TRUE(file.bool_value("flag").value());
  EXPECT_EQ(file.string_value("text").value(), "llama");
}

TEST(GgufValues, OfAnotherType) {
  const GgufFile file = values();
  expect_error(file.unsigned_value("negative"), "negative", "-7");
  expect_error(file.unsigned_value("f32"), "f32", "type");
  expect_error(file.unsigned_value("flag"), "flag", "type");
  expect_error(file.float_value("text"), "text", "type");
  expect_error(file.bool_value("u8"), "u8", "type");
  expect_error(file.string_value("tokens"), "tokens", "type");
}

TEST(GgufValues, Missing) {
  const GgufFile file = values();
  expect_error(file.unsigned_value("none"), "none", "missing");
  expect_error(file.float_value("none"), "none", "missing");
  expect_error(file.bool_value("none"), "none", "missing");
  expect_error(file.string_value("none"), "none", "missing");
  EXPECT_EQ(file.unsigned_value("none", 5).value(), 5U);
  EXPECT_EQ(file.float_value("none", 0.5).value(), 0.5);
  EXPECT_TRUE(file.bool_value("none", true).value());
}

// A default stands in for a missing key, never for a wrong one.
TEST(GgufValues, ADefaultDoesNotHideAWrongType) {
  const GgufFile file = values();
  expect_error(file.unsigned_value("text", 5), "text", "type");
  expect_error(file.unsigned_value("negative", 5), "negative", "-7");
  expect_error(file.float_value("flag", 0.5), "flag", "type");
  expect_error(file.bool_value("f32", true), "f32", "type");
}

TEST(GgufValues, TakenOnce) {
  GgufFile file = values();
  const size_t before = file.memory_bytes();
  const GgufValue tokens = file.take("tokens");
  ASSERT_TRUE(std::holds_alternative<StringArray>(tokens));
  EXPECT_EQ(std::get<StringArray>(tokens)[1], "bc");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*file.find("tokens")));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(file.take("tokens")));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(file.take("none")));
  EXPECT_LT(file.memory_bytes(), before);
}

// Finding is by position, and must survive the file's being moved.
TEST(GgufValues, FoundAfterAMove) {
  GgufFile file = values();
  const GgufFile moved = std::move(file);
  EXPECT_EQ(moved.string_value("text").value(), "llama");
  EXPECT_EQ(moved.metadata().size(), 7U);
  EXPECT_EQ(moved.metadata()[5].first, "text");
}

}  // namespace
}  // namespace spillway::formats
