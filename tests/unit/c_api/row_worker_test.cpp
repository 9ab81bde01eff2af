#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "c_api.h"

namespace spillway::c_api {
namespace {

constexpr uint64_t kRows = 5;
constexpr uint64_t kColumns = 64;

class CRowWorker : public CPool {
 protected:
  void SetUp() override {
    CPool::SetUp();
    const spillway_row_worker_options options = {
        .size = sizeof options, .threads = 2, .reserved = 0};
    SPILLWAY_C_OK(spillway_row_worker_create(pool_, &options, &worker_));
    const auto sizes = two_tokens();
    SPILLWAY_C_OK(spillway_row_channel_create(worker_, &sizes, &channel_));
    SPILLWAY_C_OK(spillway_row_channel_data(channel_, &x_, &y_));
  }
  void TearDown() override {
    SPILLWAY_C_OK(spillway_row_channel_destroy(channel_));
    SPILLWAY_C_OK(spillway_row_worker_destroy(worker_));
    CPool::TearDown();
  }

  static spillway_row_channel_options two_tokens() {
    return {.size = sizeof(spillway_row_channel_options),
            .x_floats = 2 * kColumns,
            .y_floats = 2 * kRows};
  }
  spillway_row_statistics worker_statistics() const {
    spillway_row_statistics statistics = {};
    statistics.size = sizeof statistics;
    EXPECT_EQ(spillway_row_worker_read_statistics(worker_, &statistics), SPILLWAY_OK);
    return statistics;
  }
  // Row r is all r + 1.
  spillway_row_job job(spillway_dtype dtype) {
    for (uint64_t r = 0; r < kRows; ++r) {
      for (uint64_t c = 0; c < kColumns; ++c) {
        const uint64_t at = r * kColumns + c;
        const auto value = static_cast<float>(r + 1);
        uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        if (dtype == SPILLWAY_BF16) halves_[at] = static_cast<uint16_t>(bits >> 16);
        floats_[at] = value;
      }
    }
    const bool half = dtype == SPILLWAY_BF16;
    return {.size = sizeof(spillway_row_job),
            .weight = half ? static_cast<const void*>(halves_.data()) : floats_.data(),
            .rows = kRows,
            .columns = kColumns,
            .tokens = 2,
            .dtype = dtype,
            .reserved = 0};
  }
  void write_x(float value) const { std::fill_n(x_, 2 * kColumns, value); }
  void expect_y(float x) const {
    for (uint64_t i = 0; i < 2 * kRows; ++i) {
      EXPECT_EQ(y_[i], static_cast<float>(i % kRows + 1) * static_cast<float>(kColumns) * x) << i;
    }
  }

  spillway_row_worker* worker_ = nullptr;
  spillway_row_channel* channel_ = nullptr;
  float* x_ = nullptr;
  float* y_ = nullptr;
  std::vector<float> floats_ = std::vector<float>(kRows * kColumns);
  std::vector<uint16_t> halves_ = std::vector<uint16_t>(kRows * kColumns);
};

TEST_F(CRowWorker, Computes) {
  float x = 1;
  for (const spillway_dtype dtype : {SPILLWAY_F32, SPILLWAY_BF16}) {
    const auto wanted = job(dtype);
    write_x(x);
    SPILLWAY_C_OK(spillway_row_channel_compute(channel_, &wanted));
    expect_y(x);
    x *= 2;
  }
  EXPECT_EQ(worker_statistics().jobs, 2u);
  EXPECT_EQ(worker_statistics().bytes, kRows * kColumns * (4 + 2));
  EXPECT_EQ(worker_statistics().threads, 2u);
}

TEST_F(CRowWorker, ComputesInAStream) {
  const auto wanted = job(SPILLWAY_F32);
  write_x(3);
  SPILLWAY_C_OK(spillway_row_channel_start(channel_, &wanted, nullptr));
  SPILLWAY_C_OK(spillway_row_channel_join(channel_, nullptr));
  wait_for_the_null_stream();
  expect_y(3);
  EXPECT_EQ(worker_statistics().jobs, 1u);
}

TEST_F(CRowWorker, MultipliesInAStream) {
  const spillway_pinned_memory_options options = {.size = sizeof options,
                                                  .size_bytes = 2 * (kColumns + kRows) * 2,
                                                  .tag = SPILLWAY_OTHER,
                                                  .threads = 1,
                                                  .name = "x and y"};
  spillway_pinned_memory* memory = nullptr;
  SPILLWAY_C_OK(spillway_pinned_memory_create(pool_, &options, &memory));
  void* data = nullptr;
  SPILLWAY_C_OK(spillway_pinned_memory_data(memory, &data));
  auto* const x = static_cast<uint16_t*>(data);
  uint16_t* const y = x + 2 * kColumns;
  std::fill_n(x, 2 * kColumns, uint16_t{0x4000});  // 2
  const auto wanted = job(SPILLWAY_BF16);
  SPILLWAY_C_OK(spillway_row_channel_multiply(channel_, &wanted, x, y, nullptr));
  wait_for_the_null_stream();
  expect_y(2);
  for (uint64_t i = 0; i < 2 * kRows; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, &y_[i], sizeof bits);
    EXPECT_EQ(y[i], bits >> 16) << i;  // these sums have few bits
  }
  expect_null(spillway_row_channel_multiply(nullptr, &wanted, x, y, nullptr), "channel");
  expect_null(spillway_row_channel_multiply(channel_, nullptr, x, y, nullptr), "job");
  expect_null(spillway_row_channel_multiply(channel_, &wanted, nullptr, y, nullptr), "x");
  expect_null(spillway_row_channel_multiply(channel_, &wanted, x, nullptr, nullptr), "y");
  SPILLWAY_C_OK(spillway_pinned_memory_destroy(memory));
}

TEST_F(CRowWorker, IsChecked) {
  auto wanted = job(SPILLWAY_F32);
  expect_null(spillway_row_channel_compute(channel_, nullptr), "job");
  expect_null(spillway_row_channel_compute(nullptr, &wanted), "channel");
  expect_null(spillway_row_channel_start(nullptr, &wanted, nullptr), "channel");
  expect_null(spillway_row_channel_join(nullptr, nullptr), "channel");
  expect_null(spillway_row_channel_mark_link(nullptr, 1, nullptr), "channel");
  expect_null(spillway_row_channel_data(channel_, nullptr, &y_), "x");
  expect_null(spillway_row_channel_destroy(nullptr), "channel");
  expect_null(spillway_row_worker_destroy(nullptr), "worker");
  wanted.dtype = 2;
  expect_failure(spillway_row_channel_compute(channel_, &wanted), SPILLWAY_USAGE, "dtype");
  wanted = job(SPILLWAY_F32);
  wanted.tokens = 3;
  expect_failure(spillway_row_channel_compute(channel_, &wanted), SPILLWAY_USAGE, "3 tokens");
  wanted = job(SPILLWAY_F32);
  wanted.weight = nullptr;
  expect_failure(spillway_row_channel_start(channel_, &wanted, nullptr), SPILLWAY_USAGE, "nothing");
  wanted = job(SPILLWAY_F32);
  wanted.size = 8;
  expect_failure(spillway_row_channel_start(channel_, &wanted, nullptr), SPILLWAY_USAGE, "sizeof");
  expect_failure(spillway_row_worker_destroy(worker_), SPILLWAY_USAGE, "1 channels");
  expect_failure(spillway_pool_close(pool_), SPILLWAY_USAGE, "row workers");
}

TEST_F(CRowWorker, Attends) {
  // One head of 4 dimensions whose keys are all the same: the mean of the values.
  floats_ = {1, 2, 3, 4, 1, 2, 3, 4, 10, 20, 30, 40, 30, 40, 50, 60};
  const spillway_kv_stretch stretches[] = {{floats_.data(), floats_.data() + 8, 1},
                                           {floats_.data() + 4, floats_.data() + 12, 1}};
  spillway_attention_job wanted = {.size = sizeof wanted,
                                   .stretches = stretches,
                                   .stretch_count = 2,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .head_dim = 4,
                                   .scale = 0.5,
                                   .dtype = SPILLWAY_F32,
                                   .reserved = 0};
  write_x(1);
  const auto expect_found = [&] {
    for (uint64_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(y_[i], 20 + 10 * static_cast<float>(i));
    EXPECT_FLOAT_EQ(y_[4], 5 + std::log(2.0F));
    std::fill_n(y_, 5, 0.0F);
  };
  SPILLWAY_C_OK(spillway_row_channel_compute_attention(channel_, &wanted));
  expect_found();
  SPILLWAY_C_OK(spillway_row_channel_start_attention(channel_, &wanted, nullptr));
  SPILLWAY_C_OK(spillway_row_channel_join(channel_, nullptr));
  wait_for_the_null_stream();
  expect_found();
  EXPECT_EQ(worker_statistics().attention_jobs, 2u);
  EXPECT_EQ(worker_statistics().attention_bytes, 2u * 64);
  EXPECT_EQ(worker_statistics().jobs, 0u);
  expect_null(spillway_row_channel_compute_attention(channel_, nullptr), "job");
  expect_null(spillway_row_channel_start_attention(nullptr, &wanted, nullptr), "channel");
  wanted.stretch_count = UINT64_MAX;
  expect_failure(spillway_row_channel_compute_attention(channel_, &wanted), SPILLWAY_USAGE, "most");
  wanted.stretch_count = 0;
  expect_failure(spillway_row_channel_compute_attention(channel_, &wanted), SPILLWAY_USAGE,
                 "nothing");
  wanted.stretch_count = 2;
  wanted.dtype = 7;
  expect_failure(spillway_row_channel_compute_attention(channel_, &wanted), SPILLWAY_USAGE,
                 "dtype");
  wanted.dtype = SPILLWAY_F32;
  wanted.reserved = 1;
  expect_failure(spillway_row_channel_compute_attention(channel_, &wanted), SPILLWAY_USAGE,
                 "reserved");
}

TEST_F(CRowWorker, OptionsAreChecked) {
  spillway_row_worker* worker = nullptr;
  spillway_row_worker_options options = {.size = sizeof options, .threads = 5000, .reserved = 0};
  expect_failure(spillway_row_worker_create(pool_, &options, &worker), SPILLWAY_USAGE, "5000");
  options.threads = 1;
  options.reserved = 3;
  expect_failure(spillway_row_worker_create(pool_, &options, &worker), SPILLWAY_USAGE, "reserved");
  expect_null(spillway_row_worker_create(pool_, nullptr, &worker), "options");
  spillway_row_channel* channel = nullptr;
  auto sizes = two_tokens();
  sizes.x_floats = UINT64_MAX;
  expect_failure(spillway_row_channel_create(worker_, &sizes, &channel), SPILLWAY_USAGE, "most");
  sizes.x_floats = 10 * kExtent;
  expect_failure(spillway_row_channel_create(worker_, &sizes, &channel), SPILLWAY_BUDGET,
                 "CPU rows");
  EXPECT_EQ(channel, nullptr);
  options = {.size = sizeof options, .threads = 0, .reserved = 0};
  SPILLWAY_C_OK(spillway_row_worker_create(pool_, &options, &worker));
  SPILLWAY_C_OK(spillway_row_worker_destroy(worker));
}

}  // namespace
}  // namespace spillway::c_api
