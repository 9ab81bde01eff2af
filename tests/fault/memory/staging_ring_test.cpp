// Every operation of a ring's life fails in its turn, once and for good. The error arrives, nothing
// hangs or leaks, the budget returns to zero; after a single failure the same call can be made
// again and the bytes are right.
#include "memory/staging_ring.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "../../support/pattern.h"
#include "base/units.h"
#include "platform/simulated/simulated_platform.h"

namespace spillway::memory {
namespace {

using platform::Operation;

constexpr unsigned kSlots = 3;

struct Fault {
  std::string name;
  Operation operation;
  bool for_good;
};

class RingFault : public testing::TestWithParam<Fault> {
 protected:
  RingFault() : content_(test::patterned_bytes(50'001)) {
    for (uint64_t offset = 33; offset < content_.size(); offset += 4800) {
      cycle_.push_back(
          {.offset = offset, .size = std::min<size_t>(4700, content_.size() - offset)});
    }
  }

  // Two turns, with a skip; counts the errors that came. Stops where an error stays.
  size_t live(platform::SimulatedPlatform& platform, const platform::File& file, Budget& budget) {
    const auto create = [&] {
      return StagingRing::create(platform, budget, file, cycle_,
                                 {.slot_bytes = 5632, .slots = kSlots});
    };
    size_t errors = 0;
    auto ring = create();
    if (!ring) {
      ++errors;
      expect_machine(ring.error());
      EXPECT_EQ(budget.usage().bytes, 0u);
      ring = create();
      if (!ring) return errors + 1;
    }
    for (size_t step = 0; step < 2 * cycle_.size(); ++step) {
      const size_t index = step % cycle_.size();
      if (step != 4) {
        auto bytes = (*ring)->acquire(index);
        if (!bytes) {
          ++errors;
          expect_machine(bytes.error());
          bytes = (*ring)->acquire(index);
          if (!bytes) return errors + 1;
        }
        expect_bytes(*bytes, cycle_[index]);
      }
      const auto released = (*ring)->release(index);
      if (!released) {
        ++errors;
        expect_machine(released.error());
      }
    }
    return errors;
  }

  void expect_machine(const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kMachine) << error.message;
    EXPECT_FALSE(error.message.empty());
  }

  void expect_bytes(std::span<const std::byte> bytes, const StreamRange& range) {
    ASSERT_EQ(bytes.size(), range.size);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(),
                           content_.begin() + static_cast<std::ptrdiff_t>(range.offset)));
  }

  std::vector<std::byte> content_;
  std::vector<StreamRange> cycle_;
};

TEST_P(RingFault, TheErrorArrivesAndNothingLeaks) {
  const Fault& fault = GetParam();
  uint64_t operations = 1;
  for (uint64_t n = 0; n <= operations && !HasFatalFailure(); ++n) {
    SCOPED_TRACE(testing::Message() << "operation " << n);
    const auto platform = platform::make_simulated_platform({});
    platform->put_file("model", content_);
    const auto file = platform->open("model", {}).value();
    Budget budget(Tier::kHost, kMiB);
    if (n > 0) platform->fail_operation(fault.operation, n, fault.for_good);
    const uint64_t before = platform->operations(fault.operation);
    const size_t errors = live(*platform, *file, budget);
    if (n == 0) {  // without a fault: how many operations there are
      operations = platform->operations(fault.operation) - before;
      ASSERT_GT(operations, 0u);
      EXPECT_EQ(errors, 0u);
    } else if (fault.for_good) {
      // A read that fails ahead of use is told to whoever acquires it; the walk ends before.
      const bool ahead = fault.operation == Operation::kRead && n + kSlots > operations;
      EXPECT_GE(errors, ahead ? 0u : 1u);
    } else {
      EXPECT_LE(errors, 1u);
    }
    EXPECT_EQ(budget.usage().bytes, 0u);
    EXPECT_EQ(platform->committed_bytes(), 0u);
  }
}

std::vector<Fault> faults() {
  std::vector<Fault> faults;
  for (bool for_good : {false, true}) {
    const std::string when = for_good ? "ForGood" : "Once";
    faults.push_back({"Reserve" + when, Operation::kReserve, for_good});
    faults.push_back({"Commit" + when, Operation::kCommit, for_good});
    faults.push_back({"Submit" + when, Operation::kSubmit, for_good});
    faults.push_back({"Wait" + when, Operation::kWait, for_good});
    faults.push_back({"Read" + when, Operation::kRead, for_good});
  }
  return faults;
}

INSTANTIATE_TEST_SUITE_P(Operations, RingFault, testing::ValuesIn(faults()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace spillway::memory
