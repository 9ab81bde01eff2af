// Every call of the operating system in a pool's life fails in turn, once and for good: addresses
// and pages of host memory. Files have their own (tests/fault/memory, tests/fault/engine).
#include <gtest/gtest.h>

#include <cstdio>
#include <utility>

#include "scenario.h"

namespace spillway::memory {
namespace {

using platform::Operation;

uint64_t try_all(Operation operation, bool for_good) {
  Scenario whole(false);
  whole.run();
  const uint64_t calls = whole.os().operations(operation);
  for (uint64_t n = 1; n <= calls; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    Scenario scenario(false);
    scenario.os().fail_operation(operation, n, for_good);
    scenario.run();
    EXPECT_GE(scenario.os().operations(operation), n) << "it came to it";
    scenario.expect_nothing_left();
  }
  return calls;
}

TEST(OsFaults, OnceAndForGood) {
  for (const auto& [operation, what] : {std::pair{Operation::kReserve, "addresses"},
                                        {Operation::kCommit, "pages"},
                                        {Operation::kDecommit, "pages given back"}}) {
    uint64_t sites = 0;
    for (const bool for_good : {false, true}) sites += try_all(operation, for_good);
    std::printf("%lu calls of the system failed: %s\n", sites, what);
    EXPECT_GE(sites, 4U);
  }
}

}  // namespace
}  // namespace spillway::memory
