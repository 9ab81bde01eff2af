// Files that take another's place: whole, or not at all.
#include <gtest/gtest.h>

#include "environment.h"

namespace spillway::platform {
namespace {

using PlatformReplacement = PlatformContract;

std::vector<std::byte> content(Platform& platform, const std::string& path) {
  const auto file = platform.open(path, {.caching = Caching::kUse});
  if (!file) return {};
  std::vector<std::byte> bytes((*file)->info().size_bytes);
  EXPECT_EQ((*file)->read(0, bytes).value(), bytes.size());
  return bytes;
}

TEST_P(PlatformReplacement, TakesThePlaceOnceCommitted) {
  const std::string path = put_file("old", pattern(100));
  const auto longer = pattern(300000);
  {
    const auto file = platform().replace(path).value();
    ASSERT_TRUE(file->write(std::span(longer).first(1000)).has_value());
    ASSERT_TRUE(file->write(std::span(longer).subspan(1000)).has_value());
    EXPECT_EQ(content(platform(), path), pattern(100));
    ASSERT_TRUE(file->commit().has_value());
  }
  EXPECT_EQ(content(platform(), path), longer);
}

TEST_P(PlatformReplacement, WithoutCommitNothingChanges) {
  const std::string path = put_file("old", pattern(100));
  const std::string missing = path + "-missing";
  for (const std::string& target : {path, missing}) {
    const auto file = platform().replace(target).value();
    ASSERT_TRUE(file->write(pattern(50)).has_value());
  }
  EXPECT_EQ(content(platform(), path), pattern(100));
  EXPECT_FALSE(platform().open(missing, {}).has_value());
  ASSERT_TRUE(platform().replace(missing).value()->commit().has_value());
  EXPECT_TRUE(platform().open(missing, {}).has_value());
}

TEST_P(PlatformReplacement, APathThatCannotBeIsUsage) {
  const auto file = platform().replace("");
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().code, ErrorCode::kUsage);
}

INSTANTIATE_TEST_SUITE_P(Platforms, PlatformReplacement, testing::ValuesIn(environment_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace spillway::platform
