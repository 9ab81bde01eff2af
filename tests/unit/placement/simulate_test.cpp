// Passes in simulated time: cases with known times, and the real ring on the simulated machine.
#include "placement/simulate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/units.h"
#include "platform/simulated/simulated_platform.h"

namespace spillway::placement {
namespace {

using memory::StagingRing;

constexpr StagingRing::Options kRing{.slot_bytes = kMiB, .slots = 8, .depth = 4};

Pass repeated(size_t times, const std::vector<Step>& steps) {
  Pass pass;
  for (size_t i = 0; i < times; ++i)
    pass.steps.insert(pass.steps.end(), steps.begin(), steps.end());
  return pass;
}

TEST(SecondsPerPass, WhatStaysTakesItsComputing) {
  EXPECT_NEAR(seconds_per_pass(repeated(10, {{.compute_seconds = 2}}), {}), 20, 1e-9);
}

TEST(SecondsPerPass, TheLongerOfReadingAndComputingWhereBothAreSpread) {
  const auto seconds = [](double compute, double read) {
    return seconds_per_pass(repeated(50, {{compute, read}, {.compute_seconds = compute}}), kRing);
  };
  EXPECT_NEAR(seconds(1, 3), 150, 1e-9);
  EXPECT_NEAR(seconds(3, 1), 300, 1e-9);
}

// The ring reads so far ahead as it has slots: a stretch that stays hides no more than those.
TEST(SecondsPerPass, AStretchThatStaysHidesAFullRing) {
  Pass pass = repeated(20, {{.compute_seconds = 0, .read_seconds = 1}});
  pass.steps.push_back({.compute_seconds = 100});
  const StagingRing::Options ring{.slot_bytes = kMiB, .slots = 8, .depth = 8};
  EXPECT_NEAR(seconds_per_pass(pass, ring), 100 + 20 - 8, 1e-9);
  // Nobody gives the disk more while the stretch is computed.
  EXPECT_NEAR(seconds_per_pass(pass, kRing), 100 + 20 - 4, 1e-9);
}

TEST(SecondsPerPass, AReadBesideTheRingWaitsForTheRing) {
  Pass pass = repeated(20, {{.compute_seconds = 10, .read_seconds = 1}});
  const double without = seconds_per_pass(pass, kRing);
  EXPECT_NEAR(without, 200, 1e-9);
  pass.first_read_seconds = 5;
  EXPECT_GE(seconds_per_pass(pass, kRing), without + 5);
  EXPECT_LE(seconds_per_pass(pass, kRing), without + 5 + kRing.depth);
}

// The same passes through the ring itself, on a virtual clock.
double seconds_of_ring(const Pass& pass, const StagingRing::Options& options, double rate) {
  const auto platform =
      platform::make_simulated_platform({.disk_bytes_per_second = rate, .disk_latency_seconds = 0});
  std::vector<memory::StreamRange> cycle;
  uint64_t offset = 0;
  for (const Step& step : pass.steps) {
    if (!step.read_seconds) continue;
    cycle.push_back({offset, static_cast<size_t>(std::lround(*step.read_seconds * rate))});
    offset += cycle.back().size;
  }
  platform->put_file("model", std::vector<std::byte>(offset));
  const auto file = platform->open("model", {}).value();
  memory::Budget budget(memory::Tier::kHost, kGiB);
  const auto ring = StagingRing::create(*platform, budget, *file, cycle, options).value();
  constexpr int kPasses = 4;
  double warm = 0;
  for (int i = 0; i < kPasses; ++i) {
    if (i == 1) warm = platform->clock().seconds();
    size_t entry = 0;
    for (const Step& step : pass.steps) {
      const bool reads = step.read_seconds.has_value();
      EXPECT_TRUE(!reads || ring->acquire(entry).has_value());
      platform->spend(step.compute_seconds);
      EXPECT_TRUE(!reads || ring->release(entry).has_value());
      if (reads) ++entry;
    }
  }
  return (platform->clock().seconds() - warm) / (kPasses - 1);
}

TEST(SecondsPerPass, IsWhatTheRingTakes) {
  constexpr double kRate = 1e9;
  constexpr size_t kGrain = 4096;  // reads are whole pages
  for (unsigned seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](size_t end) { return random() % end; };
    Pass pass;
    const double computing = static_cast<double>(1 + below(40)) * kGrain / kRate;
    for (size_t i = 0; i < 40 + below(100); ++i) {
      Step step{.compute_seconds = computing * static_cast<double>(below(10)) / 10};
      if (i == 0 || below(2) == 0)
        step.read_seconds = static_cast<double>(kGrain * (1 + below(16))) / kRate;
      pass.steps.push_back(step);
    }
    const auto slots = static_cast<unsigned>(2 + below(12));
    const StagingRing::Options options{.slot_bytes = 16 * kGrain,
                                       .slots = slots,
                                       .depth = 1 + static_cast<unsigned>(below(slots))};
    const double simulated = seconds_per_pass(pass, options);
    // That disk shares its rate among reads: with several on their way they end together, later.
    const double close = options.depth == 1 ? 0.01 : 0.15;
    EXPECT_NEAR(simulated, seconds_of_ring(pass, options, kRate), close * simulated)
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace spillway::placement
