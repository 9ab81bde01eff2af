// A pool on a simulated GPU through the C interface, and what must hold after every test: that
// everything made in it could be destroyed and the pool be closed. One thread.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "spillway/spillway.h"

namespace spillway::c_api {

inline constexpr uint64_t kExtent = 2 << 20;  // what a stream allocator takes at the least

// Fails the test with the error's text.
#define SPILLWAY_C_OK(expression) ASSERT_EQ(expression, SPILLWAY_OK) << spillway_last_error()

// The call fails with the status, and the text says why.
inline void expect_failure(spillway_status status, spillway_status wanted, const char* text) {
  EXPECT_EQ(status, wanted);
  EXPECT_THAT(spillway_last_error(), ::testing::HasSubstr(text));
}

inline void expect_null(spillway_status status, const char* argument) {
  expect_failure(status, SPILLWAY_USAGE, argument);
  EXPECT_THAT(spillway_last_error(), ::testing::HasSubstr("null"));
}

class CPool : public ::testing::Test {
 protected:
  void SetUp() override {
    const spillway_pool_options options = {.size = sizeof options,
                                           .device = 0,
                                           .managed = 0,
                                           .hbm_budget_bytes = 8 * kExtent,
                                           .host_budget_bytes = 16 * kExtent,
                                           .kept_bytes = SPILLWAY_NO_BYTES,
                                           .simulated_bytes = 64 << 20};
    SPILLWAY_C_OK(spillway_pool_open(&options, &pool_));
  }
  void TearDown() override {
    const spillway_pool_statistics left = statistics();
    EXPECT_EQ(left.hbm_bytes, 0u);
    EXPECT_EQ(left.host_bytes, 0u);
    SPILLWAY_C_OK(spillway_pool_close(pool_));
  }

  spillway_pool_statistics statistics() const {
    spillway_pool_statistics statistics = {};
    statistics.size = sizeof statistics;
    EXPECT_EQ(spillway_pool_read_statistics(pool_, &statistics), SPILLWAY_OK);
    return statistics;
  }
  // A region waits for what has pinned it.
  void wait_for_the_null_stream() {
    const spillway_region_options options = {.size = sizeof options,
                                             .size_bytes = kExtent,
                                             .extent_bytes = kExtent,
                                             .tag = SPILLWAY_OTHER,
                                             .eviction = SPILLWAY_EVICT_NEVER,
                                             .name = "waits",
                                             .only = SPILLWAY_HOST,
                                             .reserved = 0};
    spillway_region* region = nullptr;
    spillway_pin* pin = nullptr;
    SPILLWAY_C_OK(spillway_region_create(pool_, &options, &region));
    SPILLWAY_C_OK(spillway_region_make_resident(region, 0, kExtent, SPILLWAY_HOST));
    SPILLWAY_C_OK(spillway_region_pin(region, 0, kExtent, nullptr, &pin));
    SPILLWAY_C_OK(spillway_unpin(pin));
    SPILLWAY_C_OK(spillway_region_destroy(region));
  }

  spillway_pool* pool_ = nullptr;
};

}  // namespace spillway::c_api
