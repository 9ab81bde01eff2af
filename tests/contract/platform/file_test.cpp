#include <gmock/gmock.h>

#include <atomic>
#include <random>
#include <thread>

#include "environment.h"

namespace spillway::platform {
namespace {

using PlatformFile = PlatformContract;

TEST_P(PlatformFile, SaysWhatItIs) {
  const auto file = file_of(12345);
  EXPECT_EQ(file->info().size_bytes, 12345u);
  EXPECT_THAT(file->info().path, testing::EndsWith("file"));
  EXPECT_EQ(file->current_size().value(), 12345u);
  EXPECT_GE(file->info().offset_alignment, 1u);
  EXPECT_GE(file->info().memory_alignment, 1u);
  EXPECT_NE(file->info().device, 0u);
  if (GetParam().options.caching == Caching::kUse) {
    EXPECT_FALSE(file->info().direct);
  }
  if (!file->info().direct) {
    EXPECT_EQ(file->info().offset_alignment, 1u);
  }
}

TEST_P(PlatformFile, MissingFilesAreBadFiles) {
  for (const char* path : {"no/such/file", ""}) {
    const auto file = platform().open(path, GetParam().options);
    ASSERT_FALSE(file.has_value());
    EXPECT_EQ(file.error().code, ErrorCode::kBadFile);
    EXPECT_THAT(file.error().message, testing::HasSubstr("no such file"));
  }
}

TEST_P(PlatformFile, ReadsAnyRange) {
  const auto content = pattern(1000003);
  const auto file = open(put_file("file", content));
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const size_t offset = random() % content.size();
    const size_t size = random() % (round % 2 == 0 ? 5000 : content.size());
    const size_t skew = random() % 64;
    std::vector<std::byte> buffer(skew + size + 1, std::byte{0x5A});
    const auto read = file->read(offset, std::span(buffer).subspan(skew, size));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    ASSERT_EQ(*read, std::min(size, content.size() - offset)) << offset << " " << size;
    ASSERT_TRUE(std::equal(content.begin() + std::ptrdiff_t(offset),
                           content.begin() + std::ptrdiff_t(offset + *read),
                           buffer.begin() + std::ptrdiff_t(skew)))
        << offset << " " << size;
    ASSERT_EQ(buffer.back(), std::byte{0x5A}) << "wrote past the target";
    if (skew > 0) {
      ASSERT_EQ(buffer[skew - 1], std::byte{0x5A}) << "wrote before the target";
    }
  }
}

TEST_P(PlatformFile, ReadsNothingPastTheEnd) {
  for (size_t size : {0u, 1u, 511u, 512u, 4096u, 10000u}) {
    const auto file = file_of(size);
    std::vector<std::byte> buffer(5000);
    for (uint64_t offset : {uint64_t{size}, uint64_t{size} + 1, uint64_t{size} + 100000,
                            uint64_t{1} << 62, ~uint64_t{0}}) {
      const auto read = file->read(offset, buffer);
      ASSERT_TRUE(read.has_value()) << offset << ": " << read.error().message;
      EXPECT_EQ(*read, 0u) << offset;
    }
    EXPECT_EQ(file->read(0, {}).value(), 0u);
  }
}

TEST_P(PlatformFile, SeesATruncation) {
  const auto file = file_of(100000);
  put_file("file", pattern(50000));
  EXPECT_EQ(file->info().size_bytes, 100000u);
  EXPECT_EQ(file->current_size().value(), 50000u);
  std::vector<std::byte> buffer(100000);
  EXPECT_EQ(file->read(0, buffer).value(), 50000u);
  EXPECT_EQ(file->read(40000, buffer).value(), 10000u);
  EXPECT_EQ(file->read(60000, buffer).value(), 0u);
  const auto mapping = file->map();
  ASSERT_FALSE(mapping.has_value());
  EXPECT_EQ(mapping.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(mapping.error().message, testing::HasSubstr("shorter"));
}

TEST_P(PlatformFile, MapsAllBytes) {
  for (size_t size : {0u, 1u, 4096u, 100001u}) {
    const auto content = pattern(size);
    const auto file = open(put_file("file", content));
    auto mapping = file->map();
    ASSERT_TRUE(mapping.has_value()) << mapping.error().message;
    EXPECT_TRUE(std::equal(content.begin(), content.end(), (*mapping)->bytes().begin(),
                           (*mapping)->bytes().end()));
  }
}

TEST_P(PlatformFile, BringsWhatIsMappedIntoThePageCache) {
  constexpr size_t kBytes = 3000001;
  const auto content = pattern(kBytes);
  const std::string path = put_file("file", content);
  const auto file = open(path);
  const auto mapping = file->map().value();
  for (const size_t offset : {size_t{1000000}, size_t{0}}) {
    file->drop_cache();
    mapping->read_ahead(offset, kBytes - offset);
    ASSERT_TRUE(mapping->bring(offset, kBytes - offset).has_value());
    EXPECT_GE(file->cached_bytes(), kBytes - offset);
    EXPECT_TRUE(std::equal(content.begin(), content.end(), mapping->bytes().begin()));
    mapping->forget(0, kBytes);
  }
}

TEST_P(PlatformFile, TellsOfWhatCannotBeBrought) {
  const std::string path = put_file("file", pattern(3000000));
  const auto file = open(path);
  const auto mapping = file->map().value();
  put_file("file", pattern(1000000));
  EXPECT_TRUE(mapping->bring(0, 1000000).has_value());
  mapping->read_ahead(2000000, 1000000);
  const auto brought = mapping->bring(2000000, 1000000);
  ASSERT_FALSE(brought.has_value());
  EXPECT_EQ(brought.error().code, ErrorCode::kMachine);
  EXPECT_THAT(brought.error().message, testing::HasSubstr("cannot read 1000000 bytes at 2000000"));
}

TEST_P(PlatformFile, CachesWhereItIsAskedTo) {
  constexpr size_t kBytes = 3000000;
  const std::string path = put_file("file", pattern(kBytes));
  auto cached = platform().open(path, {.caching = Caching::kUse}).value();
  cached->drop_cache();
  EXPECT_EQ(cached->cached_bytes(), 0u);
  std::vector<std::byte> buffer(kBytes);
  ASSERT_EQ(cached->read(0, buffer).value(), kBytes);
  EXPECT_EQ(cached->cached_bytes(), kBytes);
  EXPECT_EQ(open(path)->cached_bytes(), kBytes);
}

TEST_P(PlatformFile, LeavesNothingInTheCacheWhereItIsAskedTo) {
  if (GetParam().options.caching == Caching::kUse) GTEST_SKIP() << "it is asked to cache";
  const auto file = file_of(3000000);
  file->drop_cache();
  ASSERT_EQ(file->cached_bytes(), 0u);
  std::vector<std::byte> buffer(2000001);
  ASSERT_TRUE(file->read(12345, buffer).has_value());
  ASSERT_TRUE(file->read(2999000, buffer).has_value());
  EXPECT_EQ(file->cached_bytes(), 0u);
}

TEST_P(PlatformFile, ReadsFromManyThreads) {
  const auto content = pattern(300000);
  const auto file = open(put_file("file", content));
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<std::byte> buffer(1000);
      for (size_t i = thread; i < 290; ++i) {
        const auto read = file->read(i * 1001, buffer);
        const auto expected = content.begin() + std::ptrdiff_t(i * 1001);
        if (!read || *read != 1000 || !std::equal(buffer.begin(), buffer.end(), expected)) ++wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong.load(), 0);
}

INSTANTIATE_TEST_SUITE_P(Platforms, PlatformFile, testing::ValuesIn(environment_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace spillway::platform
