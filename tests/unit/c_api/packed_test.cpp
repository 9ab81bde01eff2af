#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "c_api.h"

namespace spillway::c_api {
namespace {

constexpr uint64_t kElements = 40000;

class CPacked : public CPool {
 protected:
  void SetUp() override {
    CPool::SetUp();
    std::mt19937 random(1);
    std::normal_distribution<float> values(0.0F, 0.02F);
    for (auto& value : weight_) {
      value = static_cast<uint16_t>(std::bit_cast<uint32_t>(values(random)) >> 16);
    }
    const auto options = pack_options();
    SPILLWAY_C_OK(spillway_pack(pool_, &options, &packed_));
    ASSERT_NE(packed_, nullptr);
  }
  void TearDown() override {
    SPILLWAY_C_OK(spillway_packed_destroy(packed_));
    CPool::TearDown();
  }
  spillway_pack_options pack_options() const {
    return {.size = sizeof(spillway_pack_options),
            .weight = weight_.data(),
            .elements = kElements,
            .name = "layer 3"};
  }
  static spillway_unpacker_options in_place() {
    return {.size = sizeof(spillway_unpacker_options),
            .staging = nullptr,
            .staging_bytes = 0,
            .blocks = 2,
            .reserved = 0};
  }

  spillway_packed* packed_ = nullptr;
  std::vector<uint16_t> weight_ = std::vector<uint16_t>(kElements);
};

TEST_F(CPacked, IsSmallerAndReadAsItWas) {
  spillway_packed_statistics numbers = {};
  numbers.size = sizeof numbers;
  SPILLWAY_C_OK(spillway_packed_read_statistics(packed_, &numbers));
  EXPECT_EQ(numbers.elements, kElements);
  EXPECT_LT(numbers.bytes, kElements * 2 * 0.75);
  EXPECT_EQ(numbers.block_elements, 4096u);
  EXPECT_GE(numbers.bytes, numbers.block_bytes * 10);
  EXPECT_GE(statistics().host_bytes, numbers.bytes);
  for (const uint64_t count : {kElements, kElements / 3}) {
    std::vector<uint16_t> read(count);
    SPILLWAY_C_OK(spillway_packed_read(packed_, count, read.data()));
    EXPECT_TRUE(std::equal(read.begin(), read.end(), weight_.begin()));
  }
}

TEST_F(CPacked, IsUnpackedInAStream) {
  const spillway_pinned_memory_options memory_options = {.size = sizeof memory_options,
                                                         .size_bytes = 3 * kElements,
                                                         .tag = SPILLWAY_STAGING,
                                                         .threads = 1,
                                                         .name = "slot and staging"};
  spillway_pinned_memory* memory = nullptr;
  SPILLWAY_C_OK(spillway_pinned_memory_create(pool_, &memory_options, &memory));
  void* slot = nullptr;
  SPILLWAY_C_OK(spillway_pinned_memory_data(memory, &slot));
  auto options = in_place();
  for (const bool staged : {false, true}) {
    if (staged) {
      options.staging = static_cast<std::byte*>(slot) + 2 * kElements;
      options.staging_bytes = kElements;
    }
    spillway_unpacker* unpacker = nullptr;
    SPILLWAY_C_OK(spillway_unpacker_create(pool_, &options, &unpacker));
    std::memset(slot, 0, 2 * kElements);
    SPILLWAY_C_OK(spillway_unpacker_start(unpacker, packed_, kElements, slot, nullptr));
    wait_for_the_null_stream();
    EXPECT_EQ(std::memcmp(slot, weight_.data(), 2 * kElements), 0);
    const spillway_unpack_options all = {.size = sizeof all,
                                         .elements = kElements,
                                         .target = slot,
                                         .after = nullptr,
                                         .after_count = 0,
                                         .done = nullptr};
    std::memset(slot, 0, 2 * kElements);
    SPILLWAY_C_OK(spillway_unpacker_start_after(unpacker, packed_, &all, nullptr));
    wait_for_the_null_stream();
    EXPECT_EQ(std::memcmp(slot, weight_.data(), 2 * kElements), 0);
    SPILLWAY_C_OK(spillway_unpacker_destroy(unpacker));
  }
  SPILLWAY_C_OK(spillway_pinned_memory_destroy(memory));
}

TEST_F(CPacked, WhatDoesNotPackIsNone) {
  std::mt19937 random(2);
  std::ranges::generate(weight_, [&] { return static_cast<uint16_t>(random()); });
  const auto options = pack_options();
  spillway_packed* other = packed_;
  SPILLWAY_C_OK(spillway_pack(pool_, &options, &other));
  EXPECT_EQ(other, nullptr);
}

TEST_F(CPacked, TheBudgetHolds) {
  std::vector<uint16_t> large(20 * kExtent);
  auto options = pack_options();
  options.weight = large.data();
  options.elements = large.size();
  spillway_packed* other = nullptr;
  expect_failure(spillway_pack(pool_, &options, &other), SPILLWAY_BUDGET, "layer 3");
  EXPECT_EQ(other, nullptr);
}

TEST_F(CPacked, IsChecked) {
  auto options = pack_options();
  spillway_packed* other = nullptr;
  uint16_t target[8] = {};
  expect_null(spillway_pack(nullptr, &options, &other), "pool");
  expect_null(spillway_pack(pool_, nullptr, &other), "options");
  expect_null(spillway_pack(pool_, &options, nullptr), "packed");
  options.weight = nullptr;
  expect_null(spillway_pack(pool_, &options, &other), "weight");
  options = pack_options();
  options.elements = uint64_t{1} << 33;
  expect_failure(spillway_pack(pool_, &options, &other), SPILLWAY_USAGE, "are the most");
  expect_null(spillway_packed_destroy(nullptr), "packed");
  expect_null(spillway_packed_read(packed_, 1, nullptr), "target");
  expect_failure(spillway_packed_read(packed_, kElements + 1, target), SPILLWAY_USAGE, "40001");
  expect_null(spillway_packed_read_statistics(packed_, nullptr), "statistics");
  expect_failure(spillway_pool_close(pool_), SPILLWAY_USAGE, "packed");

  auto unpacker_options = in_place();
  spillway_unpacker* unpacker = nullptr;
  expect_null(spillway_unpacker_create(nullptr, &unpacker_options, &unpacker), "pool");
  expect_null(spillway_unpacker_create(pool_, &unpacker_options, nullptr), "unpacker");
  SPILLWAY_C_OK(spillway_unpacker_create(pool_, &unpacker_options, &unpacker));
  expect_null(spillway_unpacker_start(nullptr, packed_, 1, target, nullptr), "unpacker");
  expect_null(spillway_unpacker_start(unpacker, nullptr, 1, target, nullptr), "packed");
  expect_null(spillway_unpacker_start(unpacker, packed_, 1, nullptr, nullptr), "target");
  spillway_unpack_options some = {.size = sizeof some,
                                  .elements = 1,
                                  .target = target,
                                  .after = nullptr,
                                  .after_count = 1,
                                  .done = nullptr};
  expect_null(spillway_unpacker_start_after(nullptr, packed_, &some, nullptr), "unpacker");
  expect_null(spillway_unpacker_start_after(unpacker, packed_, nullptr, nullptr), "options");
  expect_null(spillway_unpacker_start_after(unpacker, packed_, &some, nullptr), "after");
  some.target = nullptr;
  expect_null(spillway_unpacker_start_after(unpacker, packed_, &some, nullptr), "target");
  SPILLWAY_C_OK(spillway_unpacker_destroy(unpacker));
  expect_null(spillway_unpacker_destroy(nullptr), "unpacker");
  unpacker_options.reserved = 1;
  expect_failure(spillway_unpacker_create(pool_, &unpacker_options, &unpacker), SPILLWAY_USAGE,
                 "reserved");
}

}  // namespace
}  // namespace spillway::c_api
