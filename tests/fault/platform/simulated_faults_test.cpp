// Every operation of the simulated machine fails when it is told to: the n-th time, once or for
// good, with kMachine, and leaves everything usable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "platform/simulated/simulated_platform.h"

namespace spillway::platform {
namespace {

// One call of an operation: true if it worked, false if it failed with kMachine.
using Call = std::function<bool()>;

template <typename T>
bool worked(const Result<T>& result) {
  if (result) return true;
  EXPECT_EQ(result.error().code, ErrorCode::kMachine);
  EXPECT_THAT(result.error().message, testing::HasSubstr("simulated fault"));
  return false;
}

class SimulatedFaults : public testing::TestWithParam<Operation> {
 protected:
  SimulatedFaults() {
    machine_->put_file("file", std::vector<std::byte>(4096));
    file_ = machine_->open("file", {}).value();
    queue_ = file_->open_queue(2).value();
    range_ = machine_->reserve(1 << 16).value();
    EXPECT_TRUE(range_->commit(0, 1 << 15).has_value());
  }

  bool call() {
    switch (GetParam()) {
      case Operation::kReserve:
        return worked(machine_->reserve(4096));
      case Operation::kCommit:
        return worked(range_->commit(1 << 15, 4096));
      case Operation::kDecommit:
        return worked(range_->decommit(1 << 14, 4096));
      case Operation::kOpen:
        return worked(machine_->open("file", {}));
      case Operation::kRead:
        return worked(file_->read(0, target()));
      case Operation::kSubmit: {
        const bool submitted = worked(queue_->submit({0, target(), 1}));
        EXPECT_EQ(queue_->in_flight(), submitted ? 1u : 0u);
        if (submitted) {
          EXPECT_TRUE(queue_->wait().has_value());
        }
        return submitted;
      }
      case Operation::kWait: {
        if (queue_->in_flight() == 0) {
          EXPECT_TRUE(queue_->submit({0, target(), 1}).has_value());
        }
        const bool waited = worked(queue_->wait());
        EXPECT_EQ(queue_->in_flight(), waited ? 0u : 1u);
        return waited;
      }
      case Operation::kMap:
        return worked(file_->map());
      case Operation::kReplace:
        return worked(machine_->replace("another"));
    }
    return false;
  }
  std::span<std::byte> target() { return range_->bytes().first(4096); }

  std::unique_ptr<SimulatedPlatform> machine_ = make_simulated_platform({});
  std::unique_ptr<AddressRange> range_;
  std::unique_ptr<File> file_;
  std::unique_ptr<ReadQueue> queue_;
};

TEST_P(SimulatedFaults, TheNthCallFailsOnce) {
  for (uint64_t n = 1; n <= 4; ++n) {
    machine_->fail_operation(GetParam(), n, false);
    for (uint64_t i = 1; i <= 6; ++i) EXPECT_EQ(call(), i != n) << "call " << i << " of " << n;
  }
}

TEST_P(SimulatedFaults, FromTheNthCallAllFail) {
  for (uint64_t n = 1; n <= 4; ++n) {
    machine_->fail_operation(GetParam(), n, true);
    for (uint64_t i = 1; i <= 6; ++i) EXPECT_EQ(call(), i < n) << "call " << i << " of " << n;
    machine_->fail_operation(GetParam(), 0, false);
    EXPECT_TRUE(call());
  }
}

TEST_P(SimulatedFaults, CountsCalls) {
  const uint64_t before = machine_->operations(GetParam());
  for (int i = 0; i < 3; ++i) call();
  EXPECT_EQ(machine_->operations(GetParam()), before + 3);
}

INSTANTIATE_TEST_SUITE_P(Operations, SimulatedFaults,
                         testing::Values(Operation::kReserve, Operation::kCommit,
                                         Operation::kDecommit, Operation::kOpen, Operation::kRead,
                                         Operation::kSubmit, Operation::kWait, Operation::kMap,
                                         Operation::kReplace));

TEST(SimulatedQueueFaults, AReadThatFailsComesBackWithItsError) {
  const auto machine = make_simulated_platform({});
  machine->put_file("file", std::vector<std::byte>(8192));
  const auto file = machine->open("file", {}).value();
  const auto queue = file->open_queue(2).value();
  const auto range = machine->reserve(8192).value();
  ASSERT_TRUE(range->commit(0, 8192).has_value());
  machine->fail_operation(Operation::kRead, 2, false);
  ASSERT_TRUE(queue->submit({0, range->bytes().first(4096), 1}).has_value());
  ASSERT_TRUE(queue->submit({4096, range->bytes().last(4096), 2}).has_value());
  EXPECT_TRUE(queue->wait().value().bytes.has_value());
  const auto failed = queue->wait().value();
  EXPECT_EQ(failed.id, 2u);
  ASSERT_FALSE(failed.bytes.has_value());
  EXPECT_EQ(failed.bytes.error().code, ErrorCode::kMachine);
  EXPECT_EQ(queue->in_flight(), 0u);
}

TEST(SimulatedCapacity, AFailedCommitChangesNothing) {
  constexpr size_t kPage = 4096;
  const auto machine = make_simulated_platform({.host_bytes = 10 * kPage});
  const auto range = machine->reserve(1 << 20).value();
  ASSERT_TRUE(range->commit(0, 8 * kPage).has_value());
  const auto failed = range->commit(4 * kPage, 7 * kPage);  // 3 of them are new, 2 are left
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kMachine);
  EXPECT_THAT(failed.error().message, testing::HasSubstr("12.0 KiB asked for, 8.0 KiB of 40.0"));
  EXPECT_EQ(machine->committed_bytes(), 8 * kPage);
  EXPECT_TRUE(range->commit(4 * kPage, 6 * kPage).has_value());
  EXPECT_EQ(machine->host_memory().value().free_bytes(), 0u);
  ASSERT_TRUE(range->decommit(0, 1 << 20).has_value());
  EXPECT_EQ(machine->committed_bytes(), 0u);
}

}  // namespace
}  // namespace spillway::platform
