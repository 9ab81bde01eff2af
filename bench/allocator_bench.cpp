// What a hit of the stream allocator costs, against malloc and free in the same run: pairs of one
// size, a trace of random sizes, and a replayed log (SPILLWAY_REPLAY_LOG names a file that RMM's
// logging adaptor or ours wrote; without it a log is made here).
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/units.h"
#include "memory/stream_allocator/block_table.h"
#include "spillway/memory/adaptors/log.h"
#include "spillway/memory/replay.h"
#include "spillway/memory/stream_allocator.h"
#include "support/plain_source.h"

namespace spillway {
namespace {

using memory::kAlignment;
using memory::StreamAllocator;

struct Malloc {
  Result<void*> allocate(Stream, size_t bytes, size_t) { return std::malloc(bytes); }
  void deallocate(Stream, void* pointer, size_t, size_t) noexcept { std::free(pointer); }
};

struct Spillway {
  test::PlainSource source{4 * kGiB};  // addresses: the allocator touches none of it
  std::unique_ptr<StreamAllocator> allocator = StreamAllocator::create(source, {});
  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment) {
    return allocator->allocate(stream, bytes, alignment);
  }
  void deallocate(Stream stream, void* pointer, size_t bytes, size_t alignment) noexcept {
    allocator->deallocate(stream, pointer, bytes, alignment);
  }
};

template <typename R>
void one_size(benchmark::State& state) {
  R resource;
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    void* const pointer = resource.allocate({}, bytes, kAlignment).value();
    benchmark::DoNotOptimize(pointer);
    resource.deallocate({}, pointer, bytes, kAlignment);
  }
}
BENCHMARK_TEMPLATE(one_size, Spillway)->Arg(256)->Arg(1 << 20);
BENCHMARK_TEMPLATE(one_size, Malloc)->Arg(256)->Arg(1 << 20);

// Sizes from 1 B to 4 MiB, each power of two as likely; a slot is freed before it is filled again.
struct Trace {
  explicit Trace(size_t slots) {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> log_size(0, 22);
    for (size_t i = 0; i < (size_t{1} << 14); ++i) {
      steps.push_back(
          {.slot = random() % slots, .bytes = static_cast<size_t>(std::exp2(log_size(random)))});
    }
  }
  struct Step {
    size_t slot = 0;
    size_t bytes = 0;
  };
  std::vector<Step> steps;
};

template <typename R>
void random_sizes(benchmark::State& state) {
  R resource;
  const auto slots = static_cast<size_t>(state.range(0));
  const Trace trace(slots);
  std::vector<Trace::Step> sizes(slots);
  std::vector<void*> held(slots);
  size_t at = 0;
  for (auto _ : state) {
    const Trace::Step& step = trace.steps[at++ % trace.steps.size()];
    resource.deallocate({}, held[step.slot], sizes[step.slot].bytes, kAlignment);
    held[step.slot] = resource.allocate({}, step.bytes, kAlignment).value();
    sizes[step.slot] = step;
  }
  for (size_t i = 0; i < slots; ++i) resource.deallocate({}, held[i], sizes[i].bytes, kAlignment);
  if constexpr (std::is_same_v<R, Spillway>) {
    const auto statistics = resource.allocator->statistics();
    state.counters["hits"] = static_cast<double>(statistics.hits) /
                             static_cast<double>(statistics.hits + statistics.misses);
    state.counters["held/used peak"] = static_cast<double>(statistics.peak_held_bytes) /
                                       static_cast<double>(statistics.peak_used_bytes);
  }
}
BENCHMARK_TEMPLATE(random_sizes, Spillway)->Arg(16)->Arg(256)->Arg(1024);
BENCHMARK_TEMPLATE(random_sizes, Malloc)->Arg(16)->Arg(256)->Arg(1024);

std::string log_to_replay() {
  if (const char* path = std::getenv("SPILLWAY_REPLAY_LOG")) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  Spillway upstream;
  std::ostringstream out;
  memory::LogAdaptor log(upstream, out, [] { return std::chrono::microseconds(0); });
  const Trace trace(256);
  std::vector<std::pair<void*, size_t>> held(256);
  for (const Trace::Step& step : trace.steps) {
    auto& [pointer, bytes] = held[step.slot];
    if (pointer != nullptr) log.deallocate({}, pointer, bytes);
    pointer = log.allocate({}, step.bytes).value();
    bytes = step.bytes;
  }
  return out.str();
}

template <typename R>
void replay(benchmark::State& state) {
  const auto events = memory::parse_log(log_to_replay());
  if (!events) return state.SkipWithError(events.error().message.c_str());
  const memory::Replay replay(*events);
  R resource;
  for (auto _ : state) {
    benchmark::DoNotOptimize(replay.run(memory::AnyResource(resource), {}));
  }
  state.SetItemsProcessed(static_cast<int64_t>(replay.events()) *
                          static_cast<int64_t>(state.iterations()));
}
BENCHMARK_TEMPLATE(replay, Spillway);
BENCHMARK_TEMPLATE(replay, Malloc);

// The two ways from an address to its block: the hash table that the allocator has, and an array
// with an entry per 256 bytes of a range of addresses.
struct Hash {
  memory::BlockTable table;
  void insert(memory::Block& block) { table.insert(block); }
  memory::Block* take(const std::byte* start) { return table.take(start); }
};

struct SideArray {
  std::vector<memory::Block*> entries = std::vector<memory::Block*>(4 * kGiB / kAlignment);
  void insert(memory::Block& block) { entries[index(block.start)] = &block; }
  memory::Block* take(const std::byte* start) { return std::exchange(entries[index(start)], {}); }
  static size_t index(const std::byte* start) {
    return reinterpret_cast<uintptr_t>(start) / kAlignment;
  }
};

template <typename Table>
void find_block(benchmark::State& state) {
  std::mt19937_64 random(1);
  std::vector<memory::Block> blocks(static_cast<size_t>(state.range(0)));
  Table table;
  for (size_t i = 0; i < blocks.size(); ++i) {  // spread over 4 GiB from address 0
    const size_t stride = 4 * kGiB / kAlignment / blocks.size();
    const size_t unit = i * stride + random() % stride;
    blocks[i].start = reinterpret_cast<std::byte*>(unit * kAlignment);
    table.insert(blocks[i]);
  }
  std::vector<uint32_t> order(1 << 14);
  for (uint32_t& at : order) at = static_cast<uint32_t>(random() % blocks.size());
  size_t at = 0;
  for (auto _ : state) {
    memory::Block* const block = table.take(blocks[order[at++ % order.size()]].start);
    table.insert(*block);
  }
}
BENCHMARK_TEMPLATE(find_block, Hash)->Arg(256)->Arg(16384);
BENCHMARK_TEMPLATE(find_block, SideArray)->Arg(256)->Arg(16384);

}  // namespace
}  // namespace spillway
