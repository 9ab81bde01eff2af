// Every call of the driver in a pool's life fails in turn, once and for good: no crash, no lost
// byte, no leak and no broken budget.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "scenario.h"

namespace spillway::memory {
namespace {

uint64_t try_all(bool managed, bool for_good) {
  uint64_t sites = 0;
  for (uint64_t n = 1;; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    Scenario scenario(managed);
    scenario.gpu().fail_call(n, for_good);
    scenario.run();
    if (scenario.gpu().failures() == 0) break;  // past the last call
    ++sites;
    // What the driver refused to take back once is given back at the end.
    if (!for_good) scenario.expect_nothing_left();
    if (::testing::Test::HasFailure()) break;
  }
  std::printf("%lu calls of the driver failed, %s, %s memory\n", sites,
              for_good ? "for good" : "once", managed ? "managed" : "mapped");
  return sites;
}

TEST(DriverFaults, Once) {
  EXPECT_GT(try_all(false, false), 150U);
}

TEST(DriverFaults, ForGood) {
  EXPECT_GT(try_all(false, true), 150U);
}

TEST(DriverFaults, OnceInManagedMemory) {
  EXPECT_GT(try_all(true, false), 80U);
}

TEST(DriverFaults, ForGoodInManagedMemory) {
  EXPECT_GT(try_all(true, true), 80U);
}

}  // namespace
}  // namespace spillway::memory
