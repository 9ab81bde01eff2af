// One fixture for the contract of ops::Ops: runs every test on each instruction set that this
// processor has, with a scalar implementation beside it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "ops/ops.h"

namespace spillway::ops {

class OpsContract : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    RecordProperty("seed", static_cast<int>(kSeed));
    ASSERT_NE(ops_, nullptr);
    ASSERT_NE(scalar_, nullptr);
  }

  // |actual - expected| ≤ tolerance × (root mean square of expected + |expected|).
  static void expect_close(std::span<const float> actual, std::span<const double> expected,
                           double tolerance) {
    ASSERT_EQ(actual.size(), expected.size());
    double squares = 0.0;
    for (const double value : expected) squares += value * value;
    const double rms = std::sqrt(squares / static_cast<double>(expected.size()));
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(actual[i]), expected[i],
                  tolerance * (rms + std::abs(expected[i])))
          << "at " << i;
    }
  }
  static void expect_close(std::span<const float> actual, std::span<const float> expected,
                           double tolerance) {
    const std::vector<double> doubles(expected.begin(), expected.end());
    expect_close(actual, doubles, tolerance);
  }

  static constexpr unsigned kSeed = 20240607;
  std::mt19937 random_{kSeed};
  ThreadPool pool_{2};
  std::unique_ptr<Ops> ops_ = make_cpu_ops(pool_, GetParam());
  std::unique_ptr<Ops> scalar_ = make_cpu_ops(pool_, "scalar");
};

}  // namespace spillway::ops
