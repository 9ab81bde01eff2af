// What a StagingRing promises, on the simulated machine and on this one with real files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "../../support/pattern.h"
#include "base/units.h"
#include "memory/staging_ring.h"
#include "platform/linux/linux_platform.h"
#include "platform/simulated/simulated_platform.h"
#include "support/temp_folder.h"

namespace spillway::memory {
namespace {

using test::patterned_bytes;
using testing::HasSubstr;

// A machine with one file on it.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual platform::Platform& platform() = 0;
  virtual std::string write(std::span<const std::byte> content) = 0;  // returns its path
  virtual void truncate(size_t size) = 0;
};

class SimulatedMachine : public Machine {
 public:
  explicit SimulatedMachine(const platform::SimulatedMachine& machine)
      : platform_(platform::make_simulated_platform(machine)) {}
  platform::Platform& platform() override { return *platform_; }
  std::string write(std::span<const std::byte> content) override {
    content_.assign(content.begin(), content.end());
    platform_->put_file("model", content_);
    return "model";
  }
  void truncate(size_t size) override {
    content_.resize(size);
    platform_->put_file("model", content_);
  }

 private:
  std::unique_ptr<platform::SimulatedPlatform> platform_;
  std::vector<std::byte> content_;
};

class LinuxMachine : public Machine {
 public:
  platform::Platform& platform() override { return *platform_; }
  std::string write(std::span<const std::byte> content) override {
    std::ofstream out(path(), std::ios::binary);
    for (std::byte byte : content) out.put(static_cast<char>(byte));
    out.close();
    EXPECT_TRUE(out.good());
    return path();
  }
  void truncate(size_t size) override { std::filesystem::resize_file(path(), size); }

 private:
  std::string path() const { return folder_.path() / "model"; }
  std::unique_ptr<platform::Platform> platform_ = platform::make_linux_platform();
  const test::TempFolder folder_{"ring", std::filesystem::temp_directory_path()};
};

struct Setup {
  std::string name;
  std::function<std::unique_ptr<Machine>()> make;
  platform::OpenOptions open;
};

class RingContract : public testing::TestWithParam<Setup> {
 protected:
  void write(size_t size) {
    content_ = patterned_bytes(size);
    file_ = machine_->platform().open(machine_->write(content_), GetParam().open).value();
  }

  std::unique_ptr<StagingRing> create(const std::vector<StreamRange>& cycle, unsigned slots) {
    cycle_ = cycle;
    size_t slot_bytes = 0;
    for (const StreamRange& range : cycle) {
      slot_bytes = std::max(slot_bytes, StagingRing::padded_bytes(range, file_->info()));
    }
    return StagingRing::create(machine_->platform(), budget_, *file_, cycle,
                               {.slot_bytes = slot_bytes, .slots = slots})
        .value();
  }

  void expect_entry(StagingRing& ring, size_t index) {
    const auto bytes = ring.acquire(index);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
    expect_bytes(*bytes, index);
  }

  void expect_bytes(std::span<const std::byte> bytes, size_t index) {
    ASSERT_EQ(bytes.size(), cycle_[index].size);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(),
                           content_.begin() + static_cast<std::ptrdiff_t>(cycle_[index].offset)))
        << "entry " << index;
  }

  void use(StagingRing& ring, size_t index) {
    expect_entry(ring, index);
    const auto released = ring.release(index);
    ASSERT_TRUE(released.has_value()) << released.error().message;
  }

  std::unique_ptr<Machine> machine_ = GetParam().make();
  Budget budget_{Tier::kHost, 8 * kMiB};
  std::vector<std::byte> content_;
  std::vector<StreamRange> cycle_;
  std::unique_ptr<platform::File> file_;
};

// Ranges as GGUF has them: aligned to 32 bytes, one after the other, the last one up to the end.
std::vector<StreamRange> tensors(size_t size) {
  std::vector<StreamRange> ranges;
  uint64_t offset = 7 * 32;
  for (size_t length = 30000; offset < size; length = length * 7 % 50021) {
    const size_t rest = static_cast<size_t>(size - offset);
    ranges.push_back({.offset = offset, .size = std::min(rest, length + 1)});
    offset = round_up(offset + length + 1, 32);
  }
  return ranges;
}

TEST_P(RingContract, EveryByteArrivesTurnAfterTurn) {
  write(1'000'003);
  const auto ring = create(tensors(content_.size()), 4);
  ASSERT_GT(cycle_.size(), 20u);
  for (int turn = 0; turn < 3; ++turn) {
    for (size_t i = 0; i < cycle_.size(); ++i) use(*ring, i);
  }
  uint64_t bytes = 0;
  for (const StreamRange& range : cycle_) bytes += range.size;
  EXPECT_EQ(ring->statistics().bytes_used, 3 * bytes);
  EXPECT_GE(ring->statistics().bytes_read, 3 * bytes);
  EXPECT_GE(ring->statistics().reads, 3 * cycle_.size());
  EXPECT_FALSE(ring->method().empty());
}

TEST_P(RingContract, TheCycleNeedNotFollowTheFile) {
  write(300'000);
  std::vector<StreamRange> cycle = tensors(content_.size());
  std::reverse(cycle.begin(), cycle.end());
  cycle.push_back({.offset = 1, .size = 1});
  cycle.push_back({.offset = 0, .size = 100'000});  // overlaps others
  const auto ring = create(cycle, 3);
  for (int turn = 0; turn < 2; ++turn) {
    for (size_t i = 0; i < cycle_.size(); ++i) use(*ring, i);
  }
}

TEST_P(RingContract, EntriesAreHeldTogetherAndTakenInAnyOrder) {
  write(500'000);
  const auto ring = create(tensors(content_.size()), 4);
  std::vector<std::span<const std::byte>> held(4);
  for (size_t i : {3u, 0u, 2u, 1u}) held[i] = ring->acquire(i).value();
  EXPECT_EQ(ring->acquire(2).value().data(), held[2].data());
  for (size_t i = 0; i < held.size(); ++i) expect_bytes(held[i], i);
  ASSERT_TRUE(ring->release(1).has_value());
  ASSERT_TRUE(ring->release(0).has_value());
  expect_entry(*ring, 5);
  expect_entry(*ring, 4);
  for (size_t i : {2u, 3u}) expect_bytes(held[i], i);  // nobody wrote over them
}

TEST_P(RingContract, SkippedEntriesComeBackInTheNextTurn) {
  write(500'000);
  const auto ring = create(tensors(content_.size()), 3);
  const size_t half = cycle_.size() / 2;
  for (size_t i = 0; i < half; ++i) use(*ring, i);
  for (size_t i = half; i < cycle_.size(); ++i) ASSERT_TRUE(ring->release(i).has_value());
  for (size_t i = 0; i < cycle_.size(); ++i) {
    if (i % 3 == 1) {
      ASSERT_TRUE(ring->release(i).has_value());
    } else {
      use(*ring, i);
    }
  }
  for (size_t i = 0; i < cycle_.size(); ++i) use(*ring, i);
}

TEST_P(RingContract, ACycleMayBeShorterThanTheRing) {
  write(20'000);
  for (size_t entries : {1u, 2u, 3u}) {
    std::vector<StreamRange> cycle(entries, {.offset = 5000, .size = 15'000});
    const auto ring = create(cycle, 5);
    for (int turn = 0; turn < 12; ++turn) {
      for (size_t i = 0; i < entries; ++i) use(*ring, i);
    }
  }
}

TEST_P(RingContract, ChargesItsSlotsAndGivesThemBack) {
  write(100'000);
  const auto ring = create({{.offset = 100, .size = 5000}, {.offset = 9000, .size = 9000}}, 4);
  const uint64_t least = 4 * StagingRing::padded_bytes(cycle_[1], file_->info());
  EXPECT_GE(budget_.usage(Tag::kStaging).bytes, least);
  // A slot begins on a page.
  EXPECT_LE(
      budget_.usage(Tag::kStaging).bytes,
      least + 4 * std::max(file_->info().memory_alignment, machine_->platform().page_bytes()));
  EXPECT_EQ(budget_.usage().bytes, budget_.usage(Tag::kStaging).bytes);
  EXPECT_THAT(budget_.explain(), HasSubstr("staging ring, 4 slots of"));
}

TEST_P(RingContract, ABudgetThatIsTooSmallIsToldAtOnce) {
  write(100'000);
  Budget small(Tier::kHost, 4095);
  const auto ring =
      StagingRing::create(machine_->platform(), small, *file_, {{.offset = 0, .size = 4096}},
                          {.slot_bytes = 8192, .slots = 2});
  ASSERT_FALSE(ring.has_value());
  EXPECT_EQ(ring.error().code, ErrorCode::kBudget);
  EXPECT_EQ(small.usage().bytes, 0u);
}

TEST_P(RingContract, RangesPastTheEndAreRefused) {
  write(100'000);
  for (const StreamRange& range :
       {StreamRange{.offset = 99'999, .size = 2}, StreamRange{.offset = 100'001, .size = 1},
        StreamRange{.offset = 1, .size = SIZE_MAX}}) {
    const auto ring = StagingRing::create(machine_->platform(), budget_, *file_, {range},
                                          {.slot_bytes = 8192, .slots = 2});
    ASSERT_FALSE(ring.has_value());
    EXPECT_EQ(ring.error().code, ErrorCode::kBadFile);
  }
}

TEST_P(RingContract, AFileThatIsTruncatedIsToldWithOffsetAndSizes) {
  write(400'000);
  const auto ring = create(tensors(content_.size()), 2);
  use(*ring, 0);
  machine_->truncate(40'000);
  std::optional<Error> error;
  for (size_t i = 1; i < 2 * cycle_.size() && !error; ++i) {
    const auto bytes = ring->acquire(i % cycle_.size());
    if (!bytes) {
      error = bytes.error();
    } else {
      ASSERT_TRUE(ring->release(i % cycle_.size()).has_value());
    }
  }
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kBadFile);
  EXPECT_THAT(error->message, HasSubstr("truncated"));
  EXPECT_THAT(error->message, HasSubstr("at offset "));
  EXPECT_THAT(error->message, HasSubstr("400000 bytes when it was opened and is 40000 bytes now"));
}

TEST_P(RingContract, GoesAwayWhileReadsAreInFlight) {
  write(500'000);
  for (size_t used = 0; used < 4; ++used) {
    const auto ring = create(tensors(content_.size()), 8);
    for (size_t i = 0; i < used; ++i) use(*ring, i);
    ASSERT_TRUE(ring->release(used).has_value());
  }
  EXPECT_EQ(budget_.usage().bytes, 0u);
}

std::vector<Setup> setups() {
  const auto simulated = [](const platform::SimulatedMachine& machine) {
    return [machine] { return std::make_unique<SimulatedMachine>(machine); };
  };
  const auto real = [] { return std::make_unique<LinuxMachine>(); };
  return {
      {"Simulated", simulated({}), {}},
      {"SimulatedCoarse", simulated({.offset_alignment = 4096, .memory_alignment = 16384}), {}},
      {"SimulatedBuffered", simulated({.refuse_direct = true}), {}},
      {"Linux", real, {}},
      {"LinuxThreads", real, {.queue = platform::QueueMethod::kThreads}},
      {"LinuxCached", real, {.caching = platform::Caching::kUse}},
  };
}

INSTANTIATE_TEST_SUITE_P(Platforms, RingContract, testing::ValuesIn(setups()),
                         [](const auto& setup) { return setup.param.name; });

}  // namespace
}  // namespace spillway::memory
