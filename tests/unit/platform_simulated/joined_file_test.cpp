// Several files as one: what lies where, reads at borders and in gaps, files that got shorter.
#include "platform/joined_file.h"

#include <gtest/gtest.h>

#include <numeric>

#include "platform/simulated/simulated_platform.h"

namespace spillway::platform {
namespace {

class JoinedFiles : public ::testing::Test {
 protected:
  JoinedFiles() {
    for (const size_t size : {1000U, 5000U, 700U}) {
      std::vector<std::byte> content(size);
      for (size_t i = 0; i < size; ++i) content[i] = static_cast<std::byte>(size / 100 + i);
      contents_.push_back(content);
      platform_->put_file(std::to_string(contents_.size()), content);
    }
  }
  JoinedFile join() {
    std::vector<std::unique_ptr<File>> parts;
    for (size_t i = 1; i <= contents_.size(); ++i)
      parts.push_back(platform_->open(std::to_string(i), {}).value());
    return join_files("all", std::move(parts));
  }

  std::unique_ptr<SimulatedPlatform> platform_ = make_simulated_platform({});
  std::vector<std::vector<std::byte>> contents_;
};

TEST_F(JoinedFiles, OneIsHandedBack) {
  std::vector<std::unique_ptr<File>> parts;
  parts.push_back(platform_->open("1", {}).value());
  const JoinedFile joined = join_files("all", std::move(parts));
  EXPECT_EQ(joined.file->info().path, "1");
  EXPECT_EQ(joined.offsets, std::vector<uint64_t>{0});
}

TEST_F(JoinedFiles, EveryPartLiesAtItsOffsetWithZerosBetween) {
  const JoinedFile joined = join();
  ASSERT_EQ(joined.offsets.size(), 3u);
  EXPECT_EQ(joined.file->info().size_bytes, joined.offsets[2] + 700);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(joined.offsets[i] % 4096, 0u);
    const size_t size = contents_[i].size();
    std::vector<std::byte> read(size + 100, std::byte{7});
    const bool last = i == 2;
    EXPECT_EQ(joined.file->read(joined.offsets[i], read).value(), last ? size : size + 100);
    EXPECT_TRUE(std::equal(contents_[i].begin(), contents_[i].end(), read.begin()));
    EXPECT_EQ(read[size], last ? std::byte{7} : std::byte{0});
  }
  // From the last bytes of one part to the first of the next.
  std::vector<std::byte> across(joined.offsets[1] - 990);
  ASSERT_EQ(joined.file->read(995, across).value(), across.size());
  EXPECT_EQ(across[4], contents_[0][999]);
  EXPECT_EQ(across[5], std::byte{0});
  EXPECT_EQ(across.back(), contents_[1][4]);
}

TEST_F(JoinedFiles, QueuesReadEveryPart) {
  const JoinedFile joined = join();
  const auto queue = joined.file->open_queue(4).value();
  alignas(4096) static std::byte targets[4][8192];
  const size_t parts[] = {2, 0, 1, 1};
  for (size_t i = 0; i < 4; ++i) {
    const uint64_t offset = joined.offsets[parts[i]] + (i == 3 ? 4608 : 0);
    ASSERT_TRUE(queue->submit({offset, std::span(targets[i]).first(1024), i}).has_value());
  }
  EXPECT_EQ(queue->in_flight(), 4u);
  const size_t expected[] = {700, 1024, 1024, 1024};
  for (size_t done = 0; done < 4; ++done) {
    const auto completion = queue->wait().value();
    ASSERT_TRUE(completion.bytes.has_value());
    EXPECT_EQ(*completion.bytes, expected[completion.id]);
  }
  EXPECT_EQ(queue->in_flight(), 0u);
  EXPECT_EQ(targets[0][699], contents_[2][699]);
  EXPECT_EQ(targets[1][999], contents_[0][999]);
  EXPECT_EQ(targets[1][1000], std::byte{0});
  EXPECT_EQ(targets[2][1023], contents_[1][1023]);
  EXPECT_EQ(targets[3][0], contents_[1][4608]);
}

TEST_F(JoinedFiles, APartThatGotShorterIsSeen) {
  const JoinedFile joined = join();
  EXPECT_EQ(joined.file->current_size().value(), joined.file->info().size_bytes);
  platform_->put_file("2", std::vector<std::byte>(600));
  EXPECT_EQ(joined.file->current_size().value(), joined.offsets[1] + 600);
  std::vector<std::byte> read(1024);
  EXPECT_EQ(joined.file->read(joined.offsets[1], read).value(), 600u);
  const auto queue = joined.file->open_queue(1).value();
  alignas(4096) static std::byte target[1024];
  ASSERT_TRUE(queue->submit({joined.offsets[1], target, 0}).has_value());
  EXPECT_EQ(queue->wait().value().bytes.value(), 600u);
}

TEST_F(JoinedFiles, ErrorsOfAPartArePassedOn) {
  const JoinedFile joined = join();
  platform_->fail_operation(Operation::kRead, 1, true);
  std::vector<std::byte> read(10);
  EXPECT_FALSE(joined.file->read(joined.offsets[2], read).has_value());
  EXPECT_FALSE(joined.file->map().has_value());
}

}  // namespace
}  // namespace spillway::platform
