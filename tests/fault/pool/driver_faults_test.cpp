// Every driver call of a scenario fails in turn, once and for good: no crash, no lost byte, no leak
// and no broken budget.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/units.h"
#include "ops/pattern_word.h"
#include "platform/faulty_gpu.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory/pool.h"

namespace spillway::memory {
namespace {

constexpr size_t kExtent = 64 * kKiB;
constexpr size_t kExtents = 6;
constexpr size_t kHbmExtents = 5;

// A life of a pool: what it does goes on after a failure, as a program that handles errors would.
class Scenario {
 public:
  explicit Scenario(platform::SimulatedGpu& real, platform::FaultyGpu& gpu)
      : real_(real), gpu_(gpu) {}

  void run() {
    auto pool = Pool::create(gpu_, {.hbm_budget_bytes = kHbmExtents * kExtent,
                                    .host_budget_bytes = 2 * kExtents * kExtent,
                                    .kept_bytes = kExtent});
    if (!pool) return;
    pool_ = std::move(*pool);
    auto region = pool_->create_region({.size_bytes = kExtents * kExtent,
                                        .extent_bytes = kExtent,
                                        .tag = Tag::kWeights,
                                        .name = "faulty",
                                        .eviction = Eviction::kLeastRecentlyPinned});
    if (region) {
      region_ = std::move(*region);
      live();
      check_all();
      region_.reset();
    }
    pool_->trim();
    pool_.reset();
  }

 private:
  void live() {
    for (size_t i = 0; i < kExtents; ++i) write(i, i % 2 == 0 ? Tier::kHbm : Tier::kHost);
    sample();
    for (const Tier tier : {Tier::kHbm, Tier::kHost, Tier::kHbm}) {
      if (auto moved = region_->move(0, 3 * kExtent, tier)) (void)moved->wait();
      sample();
    }
    (void)region_->make_resident(0, kExtents * kExtent, Tier::kHbm);  // evicts
    sample();
    if (region_->discard(5 * kExtent, kExtent)) written_[5] = false;
    sample();
  }

  // Straight through the address, as the GPU sees it: the stand-in needs no working driver.
  void write(size_t extent, Tier tier) {
    if (!region_->make_resident(extent * kExtent, kExtent, tier)) return;
    const auto pin = region_->pin(extent * kExtent, kExtent, Stream{});
    if (!pin) return;
    auto* words = reinterpret_cast<uint64_t*>(pin->data());
    for (uint64_t i = 0; i < kExtent / 8; ++i) words[i] = ops::pattern_word(extent + 1, i);
    written_[extent] = true;
  }

  // With the driver well again, every byte that was written is there.
  void check_all() {
    gpu_.fail_call(0, false);
    for (size_t extent = 0; extent < kExtents; ++extent) {
      if (!written_[extent]) continue;
      const auto pin = region_->pin(extent * kExtent, kExtent, Stream{});
      ASSERT_TRUE(pin) << pin.error().message;
      const auto* words = reinterpret_cast<const uint64_t*>(pin->data());
      for (uint64_t i = 0; i < kExtent / 8; ++i)
        ASSERT_EQ(words[i], ops::pattern_word(extent + 1, i)) << "extent " << extent;
    }
    sample();
  }

  void sample() {
    EXPECT_LE(real_.device_bytes_in_use(), pool_->budget(Tier::kHbm).usage().bytes);
    EXPECT_LE(real_.host_bytes_in_use(), pool_->budget(Tier::kHost).usage().bytes);
    EXPECT_LE(real_.device_bytes_in_use(), kHbmExtents * kExtent);
  }

  platform::SimulatedGpu& real_;
  platform::FaultyGpu& gpu_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Region> region_;
  bool written_[kExtents] = {};
};

uint64_t try_all(bool for_good) {
  uint64_t sites = 0;
  for (uint64_t n = 1;; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    const auto real = platform::make_simulated_gpu({});
    platform::FaultyGpu gpu(*real);
    gpu.fail_call(n, for_good);
    Scenario(*real, gpu).run();
    if (gpu.failures() == 0) break;  // past the last call
    ++sites;
    // What the driver refused to take back once is given back at the end.
    EXPECT_EQ(real->device_bytes_in_use(), 0U);
    EXPECT_EQ(real->host_bytes_in_use(), 0U);
    if (::testing::Test::HasFailure()) break;
  }
  std::printf("%lu sites tried, %s\n", sites, for_good ? "for good" : "once");
  return sites;
}

TEST(DriverFaults, Once) {
  EXPECT_GT(try_all(false), 100U);
}

TEST(DriverFaults, ForGood) {
  EXPECT_GT(try_all(true), 100U);
}

}  // namespace
}  // namespace spillway::memory
