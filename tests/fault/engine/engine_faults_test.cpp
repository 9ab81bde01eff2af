// Every operation of the machine fails for every n, once and for good: the run ends with an error
// that says so, and gives everything back. A run that does not need what failed answers as ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::test {
namespace {

using platform::Operation;
using ::testing::HasSubstr;

struct FaultCase {
  const char* name;
  Operation operation;
  bool streams;
};

class EngineFaults : public ::testing::TestWithParam<FaultCase> {
 protected:
  EngineFaults() {
    platform_->put_file(kPath, tiny_llama_file({}));
    request_.max_tokens = 3;
    request_.chunk = 7;
    const BudgetRange range = budget_range(*platform_, kPath, request_);
    budget_ = GetParam().streams ? range.least : range.all;
    const uint64_t before = platform_->operations(GetParam().operation);
    reference_ = run();
    calls_ = platform_->operations(GetParam().operation) - before;
  }
  Outcome run() { return run_model(*platform_, kPath, budget_, request_); }

  // Runs with the n-th call failing; true if the run failed.
  bool fails(uint64_t n, bool for_good) {
    SCOPED_TRACE(::testing::Message() << n << " of " << calls_ << (for_good ? ", for good" : ""));
    platform_->fail_operation(GetParam().operation, n, for_good);
    const Outcome outcome = run();
    platform_->fail_operation(GetParam().operation, 0, false);
    EXPECT_EQ(outcome.held_bytes, 0u);
    EXPECT_EQ(platform_->committed_bytes(), 0u);
    if (!outcome.error) {
      EXPECT_EQ(outcome.ids, reference_.ids);
      EXPECT_EQ(outcome.logits, reference_.logits);
      return false;
    }
    EXPECT_EQ(outcome.error->code, ErrorCode::kMachine);
    EXPECT_THAT(outcome.error->message, HasSubstr("simulated fault"));
    return true;
  }

  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform({});
  Request request_;
  uint64_t budget_ = 0;
  Outcome reference_;
  uint64_t calls_ = 0;
};

TEST_P(EngineFaults, EndTheRunWithAnError) {
  ASSERT_FALSE(reference_.error.has_value()) << reference_.error->message;
  EXPECT_EQ(reference_.plan->cycle.empty(), !GetParam().streams);
  ASSERT_GT(calls_, 0u);
  // Reads ahead of what is used may fail without anybody seeing it: those of the last turn.
  const uint64_t unseen = GetParam().streams ? reference_.plan->staging.slots : 0;
  for (uint64_t n = 1; n <= calls_; ++n) {
    for (const bool for_good : {false, true}) {
      const bool failed = fails(n, for_good);
      if (n + unseen <= calls_) {
        EXPECT_TRUE(failed) << n << " of " << calls_;
      }
    }
  }
  EXPECT_FALSE(fails(calls_ + 1, true));
}

INSTANTIATE_TEST_SUITE_P(Operations, EngineFaults,
                         ::testing::Values(FaultCase{"reserve", Operation::kReserve, true},
                                           FaultCase{"commit", Operation::kCommit, true},
                                           FaultCase{"open", Operation::kOpen, true},
                                           FaultCase{"read", Operation::kRead, true},
                                           FaultCase{"submit", Operation::kSubmit, true},
                                           FaultCase{"wait", Operation::kWait, true},
                                           FaultCase{"reserve_resident", Operation::kReserve,
                                                     false},
                                           FaultCase{"commit_resident", Operation::kCommit, false},
                                           FaultCase{"read_resident", Operation::kRead, false},
                                           FaultCase{"submit_resident", Operation::kSubmit, false},
                                           FaultCase{"wait_resident", Operation::kWait, false}),
                         [](const auto& fault) { return fault.param.name; });

TEST(EngineMapFault, EndsTheRunWithAnError) {
  const auto platform = platform::make_simulated_platform({});
  platform->put_file(kPath, tiny_llama_file({}));
  const auto file = platform->open(kPath, {.caching = platform::Caching::kUse}).value();
  std::vector<std::byte> all(file->info().size_bytes);
  ASSERT_TRUE(file->read(0, all).has_value());
  platform->fail_operation(Operation::kMap, 1, false);
  const Outcome outcome = run_model(*platform, kPath, kGiB, {});
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->code, ErrorCode::kMachine);
  EXPECT_EQ(outcome.held_bytes, 0u);
}

// By way of the page cache, where kernels interleave Q8_0: where the first page cannot be brought,
// direct reads do it.
TEST(EngineBringFault, EndsTheRunWithAnErrorOrChangesNothing) {
  const auto platform = platform::make_simulated_platform({});
  platform->put_file(kPath, tiny_llama_file({.dtype = DType::kQ8_0, .layers = 12}));
  const auto file = platform->open(kPath, {}).value();
  const auto run = [&] {
    file->drop_cache();
    return run_model(*platform, kPath, kGiB, {.max_tokens = 3});
  };
  const uint64_t before = platform->operations(Operation::kRead);
  const Outcome reference = run();
  const uint64_t calls = platform->operations(Operation::kRead) - before;
  ASSERT_FALSE(reference.error.has_value()) << reference.error->message;
  if (!reference.mapped) GTEST_SKIP() << "no kernels for that form here";
  size_t failed = 0;
  size_t read = 0;
  for (uint64_t n = 1; n <= calls; ++n) {
    for (const bool for_good : {false, true}) {
      SCOPED_TRACE(::testing::Message() << n << (for_good ? ", for good" : ""));
      platform->fail_operation(Operation::kRead, n, for_good);
      const Outcome outcome = run();
      platform->fail_operation(Operation::kRead, 0, false);
      EXPECT_EQ(outcome.held_bytes, 0u);
      EXPECT_EQ(platform->committed_bytes(), 0u);
      if (outcome.error) {
        ++failed;
        EXPECT_EQ(outcome.error->code, ErrorCode::kMachine);
        EXPECT_THAT(outcome.error->message, HasSubstr("simulated fault"));
      } else {
        EXPECT_EQ(outcome.ids, reference.ids);
        if (!outcome.mapped) ++read;
      }
    }
  }
  EXPECT_GT(failed, 0u);
  EXPECT_GE(read, 1u);
}

// A machine with less memory than the budget promised.
TEST(EngineMemory, ThatTheMachineDoesNotHaveIsAnError) {
  for (const uint64_t host : {uint64_t{4096}, 100 * kKiB, 200 * kKiB, 400 * kKiB}) {
    const auto platform = platform::make_simulated_platform({.host_bytes = host});
    platform->put_file(kPath, tiny_llama_file({}));
    const Outcome outcome = run_model(*platform, kPath, kGiB, {});
    ASSERT_TRUE(outcome.error.has_value()) << host;
    EXPECT_EQ(outcome.error->code, ErrorCode::kMachine);
    EXPECT_EQ(outcome.held_bytes, 0u);
  }
}

}  // namespace
}  // namespace spillway::test
