#include <atomic>
#include <chrono>
#include <thread>

#include "environment.h"

namespace spillway::platform {
namespace {

using GpuFlags = GpuContract;

uint32_t* flag_in(const HostBuffer& buffer) {
  return reinterpret_cast<uint32_t*>(buffer.data());
}
void reach(uint32_t* flag, uint32_t value) {
  std::atomic_ref(*flag).store(value, std::memory_order_release);
}
uint32_t look(uint32_t* flag) {
  return std::atomic_ref(*flag).load(std::memory_order_acquire);
}

TEST_P(GpuFlags, WhatWasBeforeAWriteIsSeenByWhoSeesTheWrite) {
  const HostBuffer buffer(gpu(), 8192);
  const Pieces pieces(gpu(), {Place::kDevice});
  for (uint32_t value = 1; value <= 50; ++value) {
    must(gpu().fill(pieces.start(), static_cast<std::byte>(value), 4096, stream()));
    must(gpu().copy(CopyRequest{buffer.data() + 4096, pieces.start(), 4096}, stream()));
    must(gpu().write_flag(flag_in(buffer), value, stream()));
    while (look(flag_in(buffer)) != value) std::this_thread::yield();
    ASSERT_EQ(buffer.data()[4096 + 4095], static_cast<std::byte>(value));
  }
}

TEST_P(GpuFlags, AStreamWaitsForTheCpu) {
  const HostBuffer buffer(gpu(), 8192);
  const Pieces pieces(gpu(), {Place::kDevice});
  for (uint32_t value = 1; value <= 20; ++value) {
    must(gpu().wait_flag(flag_in(buffer), value, stream()));
    must(gpu().copy(CopyRequest{pieces.start(), buffer.data() + 4096, 4096}, stream()));
    const EventId event = must(gpu().create_event());
    must(gpu().record(event, stream()));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_FALSE(must(gpu().ended(event)));
    std::fill_n(buffer.data() + 4096, 4096, static_cast<std::byte>(value));
    reach(flag_in(buffer), value);
    must(gpu().wait(event));
    EXPECT_TRUE(all_equal(pieces.start(), static_cast<int>(value), 4096));
    must(gpu().destroy_event(event));
  }
}

TEST_P(GpuFlags, AFlagHasReachedWhatItIsPastAndWrapsAround) {
  const HostBuffer buffer(gpu(), 4096);
  reach(flag_in(buffer), 5);
  must(gpu().wait_flag(flag_in(buffer), 5, stream()));
  must(gpu().wait_flag(flag_in(buffer), 2, stream()));
  must(gpu().wait_flag(flag_in(buffer), 0xffffffff, stream()));
  must(gpu().synchronise(stream()));
  must(gpu().wait_flag(flag_in(buffer), 6, stream()));
  reach(flag_in(buffer), 0x7fffffff);
  must(gpu().synchronise(stream()));
}

TEST_P(GpuFlags, StreamsWaitForEachOther) {
  const HostBuffer buffer(gpu(), 4096);
  const Stream other = must(gpu().create_stream());
  uint32_t* const here = flag_in(buffer);
  uint32_t* const there = here + 64;
  for (uint32_t value = 1; value <= 20; ++value) {
    must(gpu().wait_flag(here, value, other));
    must(gpu().write_flag(there, value, other));
    must(gpu().write_flag(here, value, stream()));
    must(gpu().wait_flag(there, value, stream()));
  }
  must(gpu().synchronise(stream()));
  EXPECT_EQ(look(there), 20u);
  must(gpu().destroy_stream(other));
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuFlags, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform
