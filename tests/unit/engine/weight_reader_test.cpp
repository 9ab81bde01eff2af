// What has come is used while the rest is held back by the disk.
#include "engine/weight_reader.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "base/units.h"

namespace spillway::test {
namespace {

// How many reads a disk may finish; the others wait.
class Gate {
 public:
  void let(size_t reads) {
    const std::lock_guard lock(mutex_);
    allowed_ += reads;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return allowed_ > 0; });
    --allowed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t allowed_ = 0;
};

class HeldQueue final : public platform::ReadQueue {
 public:
  HeldQueue(const std::vector<std::byte>& bytes, Gate& gate) : bytes_(bytes), gate_(gate) {}
  unsigned depth() const override { return 4; }
  unsigned in_flight() const override { return static_cast<unsigned>(requests_.size()); }
  std::string_view method() const override { return "held"; }
  Result<void> submit(const platform::ReadRequest& request) override {
    requests_.push_back(request);
    return {};
  }
  // Of those under way the last and the first come in turn.
  Result<platform::ReadCompletion> wait() override {
    gate_.pass();
    last_ = !last_;
    const platform::ReadRequest request = last_ ? requests_.back() : requests_.front();
    last_ ? requests_.pop_back() : requests_.pop_front();
    const size_t there = request.offset < bytes_.size() ? bytes_.size() - request.offset : 0;
    const size_t size = std::min(request.target.size(), there);
    std::memcpy(request.target.data(), bytes_.data() + request.offset, size);
    return platform::ReadCompletion{request.id, size};
  }
  Result<std::optional<platform::ReadCompletion>> poll() override { return std::nullopt; }

 private:
  const std::vector<std::byte>& bytes_;
  Gate& gate_;
  std::deque<platform::ReadRequest> requests_;
  bool last_ = false;
};

// What is not brought has other bytes.
class HeldMapping final : public platform::FileMapping {
 public:
  HeldMapping(const std::vector<std::byte>& bytes, Gate& gate, std::span<std::byte> mapped)
      : bytes_(bytes), gate_(gate), mapped_(mapped) {}
  std::span<const std::byte> bytes() const override { return mapped_; }
  void forget(size_t, size_t) const override {}
  void read_ahead(size_t offset, size_t size) const override { asked_ = offset + size; }
  Result<void> bring(size_t offset, size_t size) const override {
    EXPECT_GE(asked_, offset + size) << "it is brought before it is asked for";
    gate_.pass();
    // Of a page that ends early the rest is zeros.
    if (offset + size > round_up(bytes_.size(), 4096))
      return fail(ErrorCode::kMachine, "held: no such page");
    std::memcpy(mapped_.data() + offset, bytes_.data() + offset,
                std::min(size, bytes_.size() - offset));
    return {};
  }

 private:
  const std::vector<std::byte>& bytes_;
  Gate& gate_;
  std::span<std::byte> mapped_;
  mutable size_t asked_ = 0;
};

class HeldFile final : public platform::File {
 public:
  explicit HeldFile(size_t size) : bytes_(size) {
    for (size_t i = 0; i < size; ++i) bytes_[i] = static_cast<std::byte>(i * 7 + i / 4096);
    info_ = {.path = "held", .size_bytes = size};
  }
  void truncate(size_t size) { bytes_.resize(size); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  Gate& gate() const { return gate_; }

  const platform::FileInfo& info() const override { return info_; }
  Result<std::unique_ptr<platform::ReadQueue>> open_queue(unsigned /*depth*/) const override {
    return std::make_unique<HeldQueue>(bytes_, gate_);
  }
  Result<size_t> read(uint64_t, std::span<std::byte>) const override { return unused(); }
  Result<std::unique_ptr<platform::FileMapping>> map() const override { return unused(); }
  Result<uint64_t> current_size() const override { return bytes_.size(); }
  uint64_t cached_bytes() const override { return 0; }
  void drop_cache() const override {}

 private:
  static tl::unexpected<Error> unused() { return fail(ErrorCode::kMachine, "not this way"); }

  std::vector<std::byte> bytes_;
  platform::FileInfo info_;
  mutable Gate gate_;
};

enum class Way { kReads, kMapping };

class WeightReaderTest : public ::testing::TestWithParam<Way> {
 protected:
  static constexpr size_t kHole = 3 * kMiB + 4096;  // begins here, one MiB long

  std::unique_ptr<engine::WeightReader> start() {
    const std::vector<engine::Stretch> stretches = {
        {.begin = 0, .end = kHole, .place = 0},
        {.begin = kHole + kMiB, .end = file_.info().size_bytes, .place = kHole}};
    auto source = GetParam() == Way::kMapping
                      ? engine::StretchSource::page_cache(file_, mapping_, stretches)
                      : engine::StretchSource::reads(file_, target_, stretches).value();
    return std::make_unique<engine::WeightReader>(std::move(source));
  }
  void expect_come(size_t end) {
    const bool mapped = GetParam() == Way::kMapping;
    const std::byte* found = mapped ? mapped_.data() : target_.data();
    const size_t first = std::min(end, kHole);
    EXPECT_EQ(std::memcmp(found, file_.bytes().data(), first), 0);
    EXPECT_EQ(std::memcmp(found + first + (mapped ? kMiB : 0), file_.bytes().data() + first + kMiB,
                          end - first),
              0);
  }

  HeldFile file_{9 * kMiB + 100};
  std::vector<std::byte> target_{8 * kMiB + 100};
  std::vector<std::byte> mapped_{9 * kMiB + 100};
  HeldMapping mapping_{file_.bytes(), file_.gate(), mapped_};
};

TEST_P(WeightReaderTest, WhatHasComeIsThereBeforeTheRest) {
  const auto reader = start();
  file_.gate().let(6);  // the first stretch's four pieces, and two of later ones
  ASSERT_TRUE(reader->await(kHole, {}).has_value());
  expect_come(kHole);
  file_.gate().let(100);
  uint64_t done = 0;
  uint64_t total = 0;
  const auto told = [&](uint64_t now, uint64_t all) {
    EXPECT_GE(now, done);
    done = now;
    total = all;
    return true;
  };
  ASSERT_TRUE(reader->await(target_.size(), told).has_value());
  expect_come(target_.size());
  EXPECT_EQ(done, target_.size());
  EXPECT_EQ(total, target_.size());
}

TEST_P(WeightReaderTest, AnInterruptedWaitMayBeRepeated) {
  const auto reader = start();
  const auto interrupted = reader->await(1, [](uint64_t, uint64_t) { return false; });
  ASSERT_FALSE(interrupted.has_value());
  EXPECT_EQ(interrupted.error().code, ErrorCode::kInterrupted);
  file_.gate().let(100);
  ASSERT_TRUE(reader->await(target_.size(), {}).has_value());
  expect_come(target_.size());
}

TEST_P(WeightReaderTest, AFileThatGotShorterIsTold) {
  file_.truncate(5 * kMiB);
  const auto reader = start();
  file_.gate().let(100);
  const auto come = reader->await(target_.size(), {});
  ASSERT_FALSE(come.has_value());
  EXPECT_EQ(come.error().code, ErrorCode::kBadFile);
  EXPECT_NE(come.error().message.find("truncated"), std::string::npos) << come.error().message;
}

TEST_P(WeightReaderTest, AFileThatEndsWithinItsLastPageIsTold) {
  file_.truncate(9 * kMiB + 50);
  const auto reader = start();
  file_.gate().let(100);
  const auto come = reader->await(target_.size(), {});
  ASSERT_FALSE(come.has_value());
  EXPECT_EQ(come.error().code, ErrorCode::kBadFile);
}

TEST_P(WeightReaderTest, GivesUpWhatHasNotCome) {
  auto reader = start();
  file_.gate().let(2);
  std::thread rest([&] { file_.gate().let(1); });
  reader.reset();
  rest.join();
}

INSTANTIATE_TEST_SUITE_P(Ways, WeightReaderTest, ::testing::Values(Way::kReads, Way::kMapping),
                         [](const auto& way) {
                           return way.param == Way::kReads ? "Reads" : "Mapping";
                         });

}  // namespace
}  // namespace spillway::test
