#include <cstring>
#include <thread>
#include <vector>

#include "c_api.h"

namespace spillway::c_api {
namespace {

spillway_pinned_memory_options some_bytes() {
  return {.size = sizeof(spillway_pinned_memory_options),
          .size_bytes = 3 * kExtent + 1,
          .tag = SPILLWAY_STAGING,
          .threads = 1,
          .name = "ring"};
}

TEST_F(CPool, PinnedMemoryIsThereForTheCpu) {
  const auto options = some_bytes();
  spillway_pinned_memory* memory = nullptr;
  SPILLWAY_C_OK(spillway_pinned_memory_create(pool_, &options, &memory));
  void* data = nullptr;
  SPILLWAY_C_OK(spillway_pinned_memory_data(memory, &data));
  std::memset(data, 1, options.size_bytes);
  EXPECT_GT(statistics().host_bytes, options.size_bytes);
  expect_failure(spillway_pool_close(pool_), SPILLWAY_USAGE, "pinned memory");
  SPILLWAY_C_OK(spillway_pinned_memory_destroy(memory));
}

TEST_F(CPool, PinnedMemoryIsChecked) {
  auto options = some_bytes();
  spillway_pinned_memory* memory = nullptr;
  void* data = nullptr;
  expect_null(spillway_pinned_memory_create(nullptr, &options, &memory), "pool");
  expect_null(spillway_pinned_memory_create(pool_, nullptr, &memory), "options");
  expect_null(spillway_pinned_memory_create(pool_, &options, nullptr), "memory");
  expect_null(spillway_pinned_memory_destroy(nullptr), "memory");
  expect_null(spillway_pinned_memory_data(nullptr, &data), "memory");
  options.size_bytes = 0;
  expect_failure(spillway_pinned_memory_create(pool_, &options, &memory), SPILLWAY_USAGE, "ring");
  options.size_bytes = 17 * kExtent;
  expect_failure(spillway_pinned_memory_create(pool_, &options, &memory), SPILLWAY_BUDGET, "ring");
  options.tag = 77;
  expect_failure(spillway_pinned_memory_create(pool_, &options, &memory), SPILLWAY_USAGE, "77");
  options = some_bytes();
  options.size = 1;
  expect_failure(spillway_pinned_memory_create(pool_, &options, &memory), SPILLWAY_USAGE, "sizeof");
  EXPECT_EQ(memory, nullptr);
  options = some_bytes();
  options.name = nullptr;
  SPILLWAY_C_OK(spillway_pinned_memory_create(pool_, &options, &memory));
  expect_null(spillway_pinned_memory_data(memory, nullptr), "data");
  SPILLWAY_C_OK(spillway_pinned_memory_destroy(memory));
}

spillway_stream_allocator_options small_segments() {
  return {.size = sizeof(spillway_stream_allocator_options),
          .segment_bytes = kExtent,
          .tag = SPILLWAY_ACTIVATIONS,
          .spills = 0,
          .name = "small segments"};
}

class CAllocator : public CPool {
 protected:
  void SetUp() override {
    CPool::SetUp();
    const auto options = small_segments();
    SPILLWAY_C_OK(spillway_stream_allocator_create(pool_, &options, &allocator_));
  }
  void TearDown() override {
    SPILLWAY_C_OK(spillway_stream_allocator_destroy(allocator_));
    CPool::TearDown();
  }
  spillway_stream_allocator_statistics statistics() const {
    spillway_stream_allocator_statistics statistics = {};
    statistics.size = sizeof statistics;
    EXPECT_EQ(spillway_stream_allocator_read_statistics(allocator_, &statistics), SPILLWAY_OK);
    return statistics;
  }

  spillway_stream_allocator* allocator_ = nullptr;
};

TEST_F(CAllocator, AllocatesAndTakesBack) {
  void* first = nullptr;
  SPILLWAY_C_OK(spillway_stream_allocator_allocate(allocator_, nullptr, 1000, &first));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 256, 0u);
  SPILLWAY_C_OK(spillway_stream_allocator_record_use(allocator_, first, nullptr));
  EXPECT_EQ(statistics().used_bytes, 1024u);
  SPILLWAY_C_OK(spillway_stream_allocator_deallocate(allocator_, nullptr, first));
  void* second = nullptr;
  SPILLWAY_C_OK(spillway_stream_allocator_allocate(allocator_, nullptr, 1000, &second));
  EXPECT_EQ(second, first) << "it is there at once for the same stream";
  EXPECT_EQ(statistics().hits, 1u);
  EXPECT_EQ(statistics().misses, 1u);
  SPILLWAY_C_OK(spillway_stream_allocator_deallocate(allocator_, nullptr, second));
}

TEST_F(CAllocator, NoBytesAreANullPointer) {
  int something = 0;
  void* pointer = &something;
  SPILLWAY_C_OK(spillway_stream_allocator_allocate(allocator_, nullptr, 0, &pointer));
  EXPECT_EQ(pointer, nullptr);
  SPILLWAY_C_OK(spillway_stream_allocator_deallocate(allocator_, nullptr, nullptr));
}

TEST_F(CAllocator, TrimGivesBack) {
  void* pointer = nullptr;
  SPILLWAY_C_OK(spillway_stream_allocator_allocate(allocator_, nullptr, 1000, &pointer));
  SPILLWAY_C_OK(spillway_stream_allocator_deallocate(allocator_, nullptr, pointer));
  EXPECT_EQ(statistics().held_bytes, kExtent);
  uint64_t bytes = 0;
  SPILLWAY_C_OK(spillway_stream_allocator_trim(allocator_, &bytes));
  EXPECT_EQ(bytes, kExtent);
  EXPECT_EQ(statistics().held_bytes, 0u);
  SPILLWAY_C_OK(spillway_stream_allocator_trim(allocator_, nullptr));
}

TEST_F(CAllocator, FailuresSayWhy) {
  void* pointer = nullptr;
  expect_failure(spillway_stream_allocator_allocate(allocator_, nullptr, 9 * kExtent, &pointer),
                 SPILLWAY_BUDGET, "small segments");
  EXPECT_EQ(statistics().failures, 1u);
  auto* const per_thread = reinterpret_cast<void*>(uintptr_t{2});
  expect_failure(spillway_stream_allocator_allocate(allocator_, per_thread, 1, &pointer),
                 SPILLWAY_USAGE, "per-thread");
  EXPECT_EQ(pointer, nullptr);
  int elsewhere = 0;
  expect_failure(spillway_stream_allocator_record_use(allocator_, &elsewhere, nullptr),
                 SPILLWAY_USAGE, "no block");
  SPILLWAY_C_OK(spillway_stream_allocator_deallocate(allocator_, nullptr, &elsewhere));
  EXPECT_EQ(statistics().unknown_frees, 1u);
  expect_failure(spillway_pool_close(pool_), SPILLWAY_USAGE, "allocators");
}

TEST_F(CAllocator, NullsAreRefused) {
  const auto options = small_segments();
  spillway_stream_allocator* allocator = nullptr;
  spillway_stream_allocator_statistics none = {};
  void* pointer = nullptr;
  uint64_t bytes = 0;
  expect_null(spillway_stream_allocator_create(nullptr, &options, &allocator), "pool");
  expect_null(spillway_stream_allocator_create(pool_, nullptr, &allocator), "options");
  expect_null(spillway_stream_allocator_create(pool_, &options, nullptr), "allocator");
  expect_null(spillway_stream_allocator_destroy(nullptr), "allocator");
  expect_null(spillway_stream_allocator_allocate(nullptr, nullptr, 1, &pointer), "allocator");
  expect_null(spillway_stream_allocator_allocate(allocator_, nullptr, 1, nullptr), "pointer");
  expect_null(spillway_stream_allocator_deallocate(nullptr, nullptr, &bytes), "allocator");
  expect_null(spillway_stream_allocator_record_use(nullptr, &bytes, nullptr), "allocator");
  expect_null(spillway_stream_allocator_record_use(allocator_, nullptr, nullptr), "pointer");
  expect_null(spillway_stream_allocator_trim(nullptr, &bytes), "allocator");
  expect_null(spillway_stream_allocator_read_statistics(nullptr, &none), "allocator");
  expect_null(spillway_stream_allocator_read_statistics(allocator_, nullptr), "statistics");
}

TEST_F(CPool, AnAllocatorThatSpillsGoesOnInHostMemory) {
  auto options = small_segments();
  options.spills = 1;
  spillway_stream_allocator* allocator = nullptr;
  SPILLWAY_C_OK(spillway_stream_allocator_create(pool_, &options, &allocator));
  void* in_hbm = nullptr;
  void* in_host = nullptr;
  SPILLWAY_C_OK(spillway_stream_allocator_allocate(allocator, nullptr, 8 * kExtent, &in_hbm));
  SPILLWAY_C_OK(spillway_stream_allocator_allocate(allocator, nullptr, kExtent, &in_host));
  spillway_stream_allocator_statistics now = {};
  now.size = sizeof now;
  SPILLWAY_C_OK(spillway_stream_allocator_read_statistics(allocator, &now));
  EXPECT_GE(now.spilled_bytes, kExtent);
  EXPECT_EQ(statistics().host_bytes, now.spilled_bytes);
  SPILLWAY_C_OK(spillway_stream_allocator_destroy(allocator));
}

TEST_F(CAllocator, OptionsAreChecked) {
  spillway_stream_allocator* allocator = nullptr;
  auto options = small_segments();
  options.size = 0;
  expect_failure(spillway_stream_allocator_create(pool_, &options, &allocator), SPILLWAY_USAGE,
                 "sizeof");
  options = small_segments();
  options.tag = -2;
  expect_failure(spillway_stream_allocator_create(pool_, &options, &allocator), SPILLWAY_USAGE,
                 "-2");
  EXPECT_EQ(allocator, nullptr);
  spillway_stream_allocator_statistics none = {};
  expect_failure(spillway_stream_allocator_read_statistics(allocator_, &none), SPILLWAY_USAGE,
                 "sizeof");
}

TEST_F(CAllocator, ThreadsShareIt) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this] {
      for (uint64_t i = 1; i <= 200; ++i) {
        void* pointer = nullptr;
        ASSERT_EQ(spillway_stream_allocator_allocate(allocator_, nullptr, i, &pointer),
                  SPILLWAY_OK);
        std::memset(pointer, 1, i);
        ASSERT_EQ(spillway_stream_allocator_deallocate(allocator_, nullptr, pointer), SPILLWAY_OK);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(statistics().used_blocks, 0u);
}

}  // namespace
}  // namespace spillway::c_api
