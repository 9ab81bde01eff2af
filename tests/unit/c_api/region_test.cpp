#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "c_api.h"

namespace spillway::c_api {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr uint64_t kSize = 4 * kExtent;

spillway_region_options four_extents() {
  return {.size = sizeof(spillway_region_options),
          .size_bytes = kSize,
          .extent_bytes = kExtent,
          .tag = SPILLWAY_KV,
          .eviction = SPILLWAY_EVICT_NEVER,
          .name = "four extents",
          .only = SPILLWAY_NOWHERE,
          .reserved = 0};
}

class CRegion : public CPool {
 protected:
  void SetUp() override {
    CPool::SetUp();
    const auto options = four_extents();
    SPILLWAY_C_OK(spillway_region_create(pool_, &options, &region_));
    void* data = nullptr;
    SPILLWAY_C_OK(spillway_region_data(region_, &data));
    data_ = static_cast<unsigned char*>(data);
  }
  void TearDown() override {
    SPILLWAY_C_OK(spillway_region_destroy(region_));
    CPool::TearDown();
  }
  void make_resident(spillway_tier tier) {
    SPILLWAY_C_OK(spillway_region_make_resident(region_, 0, kSize, tier));
  }

  spillway_region* region_ = nullptr;
  unsigned char* data_ = nullptr;
};

TEST_F(CRegion, SaysHowLargeItIs) {
  uint64_t size = 0;
  uint64_t extent = 0;
  SPILLWAY_C_OK(spillway_region_size(region_, &size));
  SPILLWAY_C_OK(spillway_region_extent_size(region_, &extent));
  EXPECT_EQ(size, kSize);
  EXPECT_EQ(extent, kExtent);
  EXPECT_NE(data_, nullptr);
}

TEST_F(CRegion, NullsAreRefused) {
  const auto options = four_extents();
  spillway_region* region = nullptr;
  void* data = nullptr;
  uint64_t bytes = 0;
  size_t count = 0;
  spillway_residency_run run = {};
  spillway_transfer* transfer = nullptr;
  spillway_pin* pin = nullptr;
  int ended = 0;
  expect_null(spillway_region_create(nullptr, &options, &region), "pool");
  expect_null(spillway_region_create(pool_, nullptr, &region), "options");
  expect_null(spillway_region_create(pool_, &options, nullptr), "region");
  expect_null(spillway_region_destroy(nullptr), "region");
  expect_null(spillway_region_data(nullptr, &data), "region");
  expect_null(spillway_region_data(region_, nullptr), "data");
  expect_null(spillway_region_size(nullptr, &bytes), "region");
  expect_null(spillway_region_size(region_, nullptr), "size_bytes");
  expect_null(spillway_region_extent_size(nullptr, &bytes), "region");
  expect_null(spillway_region_extent_size(region_, nullptr), "extent_bytes");
  expect_null(spillway_region_residency(nullptr, &run, 1, &count), "region");
  expect_null(spillway_region_residency(region_, nullptr, 1, &count), "runs");
  expect_null(spillway_region_residency(region_, &run, 1, nullptr), "count");
  expect_null(spillway_region_make_resident(nullptr, 0, 1, SPILLWAY_HBM), "region");
  expect_null(spillway_region_move(nullptr, 0, 1, SPILLWAY_HBM, &transfer), "region");
  expect_null(spillway_region_move(region_, 0, 1, SPILLWAY_HBM, nullptr), "transfer");
  expect_null(spillway_region_discard(nullptr, 0, 1), "region");
  expect_null(spillway_transfer_ended(nullptr, &ended), "transfer");
  expect_null(spillway_transfer_wait(nullptr), "transfer");
  expect_null(spillway_transfer_destroy(nullptr), "transfer");
  expect_null(spillway_region_pin(nullptr, 0, 1, nullptr, &pin), "region");
  expect_null(spillway_region_pin(region_, 0, 1, nullptr, nullptr), "pin");
  expect_null(spillway_region_pin_for_host(nullptr, 0, 1, &pin), "region");
  expect_null(spillway_region_pin_for_host(region_, 0, 1, nullptr), "pin");
  expect_null(spillway_unpin(nullptr), "pin");
}

TEST_F(CPool, RefusesRegionsThatMakeNoSense) {
  spillway_region* region = nullptr;
  auto options = four_extents();
  options.size = 8;
  expect_failure(spillway_region_create(pool_, &options, &region), SPILLWAY_USAGE, "sizeof");
  options = four_extents();
  options.size_bytes = 0;
  expect_failure(spillway_region_create(pool_, &options, &region), SPILLWAY_USAGE, "four extents");
  options = four_extents();
  options.tag = 99;
  expect_failure(spillway_region_create(pool_, &options, &region), SPILLWAY_USAGE, "99");
  options = four_extents();
  options.eviction = -1;
  expect_failure(spillway_region_create(pool_, &options, &region), SPILLWAY_USAGE, "-1");
  EXPECT_EQ(region, nullptr);
}

TEST_F(CPool, TakesEveryTagAndEviction) {
  for (spillway_tag tag :
       {SPILLWAY_OTHER, SPILLWAY_WEIGHTS, SPILLWAY_KV, SPILLWAY_ACTIVATIONS, SPILLWAY_STAGING}) {
    auto options = four_extents();
    options.tag = tag;
    options.eviction = SPILLWAY_EVICT_LEAST_RECENTLY_PINNED;
    options.name = nullptr;
    spillway_region* region = nullptr;
    SPILLWAY_C_OK(spillway_region_create(pool_, &options, &region));
    SPILLWAY_C_OK(spillway_region_destroy(region));
  }
}

TEST_F(CPool, AnExtentIs32MiBUnlessItIsSaid) {
  auto options = four_extents();
  options.extent_bytes = 0;
  spillway_region* region = nullptr;
  SPILLWAY_C_OK(spillway_region_create(pool_, &options, &region));
  uint64_t bytes = 0;
  SPILLWAY_C_OK(spillway_region_extent_size(region, &bytes));
  EXPECT_EQ(bytes, uint64_t{32} << 20);
  SPILLWAY_C_OK(spillway_region_destroy(region));
}

TEST_F(CRegion, ResidencyIsRuns) {
  SPILLWAY_C_OK(spillway_region_make_resident(region_, 0, kExtent, SPILLWAY_HBM));
  SPILLWAY_C_OK(spillway_region_make_resident(region_, kExtent, 2 * kExtent, SPILLWAY_HOST));
  std::vector<spillway_residency_run> runs(4);
  size_t count = 0;
  SPILLWAY_C_OK(spillway_region_residency(region_, nullptr, 0, &count));
  ASSERT_EQ(count, 3u);
  SPILLWAY_C_OK(spillway_region_residency(region_, runs.data(), runs.size(), &count));
  EXPECT_EQ(runs[0].tier, SPILLWAY_HBM);
  EXPECT_EQ(runs[1].tier, SPILLWAY_HOST);
  EXPECT_EQ(runs[1].first, 1u);
  EXPECT_EQ(runs[1].end, 3u);
  EXPECT_EQ(runs[2].tier, SPILLWAY_NOWHERE);
  EXPECT_EQ(runs[3].end, 0u) << "not written";
  runs.assign(4, {});
  SPILLWAY_C_OK(spillway_region_residency(region_, runs.data(), 1, &count));
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(runs[1].end, 0u) << "no more than there is room for";
  SPILLWAY_C_OK(spillway_region_discard(region_, 0, kSize));
  SPILLWAY_C_OK(spillway_region_residency(region_, runs.data(), 4, &count));
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(runs[0].tier, SPILLWAY_NOWHERE);
}

TEST_F(CRegion, BytesMoveUnderTheirAddresses) {
  make_resident(SPILLWAY_HOST);
  spillway_pin* pin = nullptr;
  SPILLWAY_C_OK(spillway_region_pin_for_host(region_, 0, kSize, &pin));
  std::memset(data_, 0x5A, kSize);
  SPILLWAY_C_OK(spillway_unpin(pin));
  spillway_transfer* transfer = nullptr;
  SPILLWAY_C_OK(spillway_region_move(region_, 0, kSize, SPILLWAY_HBM, &transfer));
  SPILLWAY_C_OK(spillway_transfer_wait(transfer));
  int ended = 0;
  SPILLWAY_C_OK(spillway_transfer_ended(transfer, &ended));
  EXPECT_EQ(ended, 1);
  SPILLWAY_C_OK(spillway_transfer_destroy(transfer));
  EXPECT_EQ(statistics().hbm_bytes, kSize);
  EXPECT_EQ(statistics().bytes_to_hbm, kSize);
  make_resident(SPILLWAY_HOST);
  SPILLWAY_C_OK(spillway_region_pin_for_host(region_, 0, kSize, &pin));
  EXPECT_EQ(std::count(data_, data_ + kSize, 0x5A), static_cast<std::ptrdiff_t>(kSize));
  SPILLWAY_C_OK(spillway_unpin(pin));
}

TEST_F(CRegion, ATransferMayBeDroppedBeforeItEnds) {
  make_resident(SPILLWAY_HOST);
  spillway_transfer* transfer = nullptr;
  SPILLWAY_C_OK(spillway_region_move(region_, 0, kSize, SPILLWAY_HBM, &transfer));
  SPILLWAY_C_OK(spillway_transfer_destroy(transfer));
  spillway_pin* pin = nullptr;  // waits for the move
  SPILLWAY_C_OK(spillway_region_pin(region_, 0, kSize, nullptr, &pin));
  EXPECT_EQ(statistics().hbm_bytes, kSize);
  SPILLWAY_C_OK(spillway_unpin(pin));
}

TEST_F(CRegion, PinnedExtentsStay) {
  make_resident(SPILLWAY_HOST);
  spillway_pin* pin = nullptr;
  SPILLWAY_C_OK(spillway_region_pin(region_, kExtent, 1, nullptr, &pin));
  spillway_transfer* transfer = nullptr;
  expect_failure(spillway_region_move(region_, 0, kSize, SPILLWAY_HBM, &transfer), SPILLWAY_USAGE,
                 "pinned");
  EXPECT_EQ(transfer, nullptr);
  expect_failure(spillway_region_discard(region_, kExtent, kExtent), SPILLWAY_USAGE, "pinned");
  expect_failure(spillway_region_destroy(region_), SPILLWAY_USAGE, "1 pins");
  expect_failure(spillway_pool_close(pool_), SPILLWAY_USAGE, "destroy them first");
  SPILLWAY_C_OK(spillway_unpin(pin));
  SPILLWAY_C_OK(spillway_region_make_resident(region_, 0, kSize, SPILLWAY_HBM));
}

TEST_F(CRegion, TheCpuPinsHostMemoryOnly) {
  make_resident(SPILLWAY_HBM);
  spillway_pin* pin = nullptr;
  expect_failure(spillway_region_pin_for_host(region_, 0, 1, &pin), SPILLWAY_USAGE, "four extents");
  make_resident(SPILLWAY_HOST);
  SPILLWAY_C_OK(spillway_region_pin_for_host(region_, 0, 1, &pin));
  data_[0] = 1;
  SPILLWAY_C_OK(spillway_unpin(pin));
}

TEST_F(CRegion, RangesAndTiersAreChecked) {
  spillway_transfer* transfer = nullptr;
  spillway_pin* pin = nullptr;
  const uint64_t far = ~uint64_t{0};
  EXPECT_EQ(spillway_region_make_resident(region_, kSize, 1, SPILLWAY_HBM), SPILLWAY_USAGE);
  EXPECT_EQ(spillway_region_make_resident(region_, far, 2, SPILLWAY_HBM), SPILLWAY_USAGE);
  EXPECT_EQ(spillway_region_move(region_, 1, far, SPILLWAY_HBM, &transfer), SPILLWAY_USAGE);
  EXPECT_EQ(spillway_region_discard(region_, 0, kSize + 1), SPILLWAY_USAGE);
  EXPECT_EQ(spillway_region_pin(region_, kSize, 1, nullptr, &pin), SPILLWAY_USAGE);
  EXPECT_EQ(spillway_region_pin(region_, 0, 1, nullptr, &pin), SPILLWAY_USAGE) << "lies nowhere";
  EXPECT_EQ(spillway_region_pin_for_host(region_, 0, 1, &pin), SPILLWAY_USAGE) << "lies nowhere";
  for (spillway_tier tier : {spillway_tier{SPILLWAY_NOWHERE}, 3, -1}) {
    expect_failure(spillway_region_make_resident(region_, 0, 1, tier), SPILLWAY_USAGE, "no tier");
    expect_failure(spillway_region_move(region_, 0, 1, tier, &transfer), SPILLWAY_USAGE, "no tier");
  }
}

TEST_F(CRegion, ThreadsPinWhileItMoves) {
  make_resident(SPILLWAY_HOST);
  std::vector<std::jthread> threads;
  for (uint64_t extent = 0; extent < 4; ++extent) {
    threads.emplace_back([this, extent] {
      for (int i = 0; i < 20; ++i) {
        spillway_pin* pin = nullptr;
        ASSERT_EQ(spillway_region_pin(region_, extent * kExtent, 1, nullptr, &pin), SPILLWAY_OK);
        ASSERT_EQ(spillway_unpin(pin), SPILLWAY_OK);
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    const spillway_tier tier = i % 2 == 0 ? SPILLWAY_HBM : SPILLWAY_HOST;
    const spillway_status status = spillway_region_make_resident(region_, 0, kSize, tier);
    EXPECT_THAT(status, AnyOf(SPILLWAY_OK, SPILLWAY_USAGE)) << "an extent may be pinned";
  }
}

TEST_F(CPool, MoreThanTheBudgetIsAnErrorThatSaysWhoHoldsWhat) {
  auto options = four_extents();
  options.size_bytes = 9 * kExtent;
  spillway_region* region = nullptr;
  SPILLWAY_C_OK(spillway_region_create(pool_, &options, &region));
  expect_failure(spillway_region_make_resident(region, 0, 9 * kExtent, SPILLWAY_HBM),
                 SPILLWAY_BUDGET, "four extents");
  SPILLWAY_C_OK(spillway_region_make_resident(region, 0, kExtent, SPILLWAY_HOST));
  size_t length = 0;
  std::vector<char> text(4096);
  SPILLWAY_C_OK(spillway_pool_explain(pool_, text.data(), text.size(), &length));
  EXPECT_THAT(text.data(), HasSubstr("four extents"));
  SPILLWAY_C_OK(spillway_region_destroy(region));
}

TEST_F(CPool, ARegionForTheHostOnly) {
  spillway_region_options options = {};
  options.size = sizeof options;
  options.size_bytes = kExtent;
  options.only = SPILLWAY_HOST;
  spillway_region* region = nullptr;
  SPILLWAY_C_OK(spillway_region_create(pool_, &options, &region));
  expect_failure(spillway_region_make_resident(region, 0, kExtent, SPILLWAY_HBM), SPILLWAY_USAGE,
                 "host only");
  SPILLWAY_C_OK(spillway_region_make_resident(region, 0, kExtent, SPILLWAY_HOST));
  SPILLWAY_C_OK(spillway_region_destroy(region));
  options.only = 7;
  expect_failure(spillway_region_create(pool_, &options, &region), SPILLWAY_USAGE, "7");
}

TEST_F(CPool, TheReportIsJson) {
  size_t length = 0;
  SPILLWAY_C_OK(spillway_pool_report(pool_, nullptr, 0, &length));
  std::string text(length + 1, ' ');
  SPILLWAY_C_OK(spillway_pool_report(pool_, text.data(), text.size(), &length));
  EXPECT_EQ(text.front(), '{');
  EXPECT_EQ(text[length - 1], '}');
  EXPECT_EQ(text[length], '\0');
  expect_null(spillway_pool_report(nullptr, nullptr, 0, &length), "pool");
  expect_null(spillway_pool_report(pool_, nullptr, 1, &length), "buffer");
}

}  // namespace
}  // namespace spillway::c_api
