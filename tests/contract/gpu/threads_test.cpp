#include <atomic>
#include <mutex>
#include <thread>

#include "environment.h"
#include "ops/pattern_kernels.h"

namespace spillway::platform {
namespace {

using GpuThreads = GpuContract;

constexpr size_t kThreads = 4;

// One thread's rounds: memory made, mapped, written, copied, checked and given back.
void work(Gpu& gpu, Place place, uint64_t seed, std::atomic<uint64_t>& mismatches) {
  const HostBuffer counter(gpu, sizeof(uint64_t));
  auto* count = reinterpret_cast<uint64_t*>(counter.data());
  *count = 0;
  const Stream writing = must(gpu.create_stream());
  const Stream checking = must(gpu.create_stream());
  const EventId written = must(gpu.create_event());
  for (uint64_t round = 0; round < 10; ++round) {
    const Pieces pieces(gpu, {Place::kDevice, place});
    const size_t words = pieces.piece_bytes() / sizeof(uint64_t);
    auto* first = reinterpret_cast<uint64_t*>(pieces.at(0));
    auto* second = reinterpret_cast<uint64_t*>(pieces.at(1));
    must(ops::fill_pattern(gpu, {first, words, seed + round}, writing));
    must(gpu.record(written, writing));
    must(gpu.wait(checking, written));
    must(gpu.copy(CopyRequest{pieces.at(1), pieces.at(0), pieces.piece_bytes()}, checking));
    must(ops::check_pattern(gpu, {second, words, seed + round}, count, checking));
    must(gpu.synchronise(checking));
  }
  mismatches += *count;
  must(gpu.destroy_event(written));
  must(gpu.destroy_stream(writing));
  must(gpu.destroy_stream(checking));
}

TEST_P(GpuThreads, WorkApart) {
  std::atomic<uint64_t> mismatches = 0;
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      const Place place = places()[i % places().size()];
      threads.emplace_back([&, i, place] { work(gpu(), place, i * 1000, mismatches); });
    }
  }
  EXPECT_EQ(mismatches.load(), 0u);
}

TEST_P(GpuThreads, ShareAStream) {
  const Pieces pieces(gpu(), std::vector(kThreads, places().back()));
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        auto* words = reinterpret_cast<uint64_t*>(pieces.at(i));
        for (uint64_t seed = 0; seed <= 10; ++seed) {
          must(ops::fill_pattern(gpu(), {words, pieces.piece_bytes() / 8, seed}, stream()));
        }
      });
    }
  }
  for (size_t i = 0; i < kThreads; ++i) {
    EXPECT_EQ(pattern_mismatches(pieces.at(i), pieces.piece_bytes(), 10), 0u) << i;
  }
}

// One thread records, another waits and reads what the first one's work wrote.
TEST_P(GpuThreads, WaitForEventsOfOthers) {
  const HostBuffer target(gpu(), 4096);
  const Pieces pieces(gpu(), {Place::kDevice});
  const EventId event = must(gpu().create_event());
  fill(pieces.start(), 6, 4096);
  must(gpu().copy(CopyRequest{target.data(), pieces.start(), 4096}, stream()));
  must(gpu().record(event, stream()));
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        must(gpu().wait(event));
        EXPECT_EQ(target.data()[4095], std::byte{6});
      });
    }
  }
  must(gpu().destroy_event(event));
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuThreads, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform
