// How fast the staging ring sweeps a file, against what the disk gives to plain pread with
// O_DIRECT (the disk's rate S: the best of its rows). Disks are noisy: repeat, interleaved.
//   ring_bench FILE --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "base/units.h"
#include "memory/staging_ring.h"
#include "platform/linux/linux_platform.h"

namespace spillway {
namespace {

using memory::StagingRing;
using memory::StreamRange;

constexpr size_t kAlignment = 4096;

// One reader of a plain sweep: takes the next block until the file ends.
void read_blocks(int file, size_t block, uint64_t size, std::atomic<uint64_t>& next) {
  const std::unique_ptr<void, void (*)(void*)> buffer(std::aligned_alloc(kAlignment, block),
                                                      std::free);
  for (uint64_t offset = next.fetch_add(block); offset < size; offset = next.fetch_add(block)) {
    const ssize_t got = ::pread(file, buffer.get(), block, static_cast<off_t>(offset));
    if (got <= 0) {
      std::perror("pread");
      std::exit(1);
    }
  }
}

// Arguments: block in KiB, threads.
void plain_sweep(benchmark::State& state, const std::string& path) {
  const auto block = static_cast<size_t>(state.range(0)) * kKiB;
  const int file = ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (file < 0) {
    state.SkipWithError("cannot open the file with O_DIRECT");
    return;
  }
  const auto size = static_cast<uint64_t>(::lseek(file, 0, SEEK_END));
  for ([[maybe_unused]] auto sweep : state) {
    std::atomic<uint64_t> next = 0;
    std::vector<std::jthread> readers(static_cast<size_t>(state.range(1)));
    for (std::jthread& reader : readers) {
      reader = std::jthread(read_blocks, file, block, size, std::ref(next));
    }
  }
  ::close(file);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}

// The file's bytes from 32 on, as tensors lie in a GGUF: no range is aligned for O_DIRECT.
std::vector<StreamRange> unaligned_ranges(uint64_t size, size_t block) {
  std::vector<StreamRange> cycle;
  for (uint64_t offset = 32; offset < size; offset += block) {
    cycle.push_back({.offset = offset, .size = std::min<uint64_t>(block, size - offset)});
  }
  return cycle;
}

// Arguments: block in KiB, slots. A sweep is one turn; the reads go on across its end.
void ring_sweep(benchmark::State& state, const std::string& path, platform::QueueMethod method) {
  const auto machine = platform::make_linux_platform();
  memory::Budget budget(memory::Tier::kHost, kGiB);
  const auto file = machine->open(path, {.queue = method});
  if (!file) {
    state.SkipWithError(file.error().message.c_str());
    return;
  }
  const uint64_t size = (*file)->info().size_bytes;
  // A block and its padding take one read of `block` bytes.
  const auto block = static_cast<size_t>(state.range(0)) * kKiB - kAlignment;
  const std::vector<StreamRange> cycle = unaligned_ranges(size, block);
  auto ring = StagingRing::create(
      *machine, budget, **file, cycle,
      {.slot_bytes = block + 2 * kAlignment, .slots = static_cast<unsigned>(state.range(1))});
  if (!ring) {
    state.SkipWithError(ring.error().message.c_str());
    return;
  }
  for ([[maybe_unused]] auto sweep : state) {
    for (size_t i = 0; i < cycle.size(); ++i) {
      const auto bytes = (*ring)->acquire(i);
      if (!bytes || !(*ring)->release(i)) {
        state.SkipWithError("the ring failed");
        return;
      }
      benchmark::DoNotOptimize(bytes->data());
    }
  }
  const double read = static_cast<double>((*ring)->statistics().bytes_read);
  const double used = static_cast<double>((*ring)->statistics().bytes_used);
  state.counters["padding"] = read / used - 1;
  state.SetLabel(std::string((*ring)->method()));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
}

void add_benchmarks(const std::string& path) {
  const auto configure = [](benchmark::internal::Benchmark* bench) {
    bench->Unit(benchmark::kMillisecond)
        ->UseRealTime()
        ->ArgsProduct({{256, 1024, 4096}, {2, 4, 8}});
  };
  configure(benchmark::RegisterBenchmark("pread", plain_sweep, path));
  configure(
      benchmark::RegisterBenchmark("ring", ring_sweep, path, platform::QueueMethod::kAutomatic));
  configure(benchmark::RegisterBenchmark("ring/threads", ring_sweep, path,
                                         platform::QueueMethod::kThreads));
}

}  // namespace
}  // namespace spillway

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FILE [--benchmark_...]\n", argv[0]);
    return 2;
  }
  spillway::add_benchmarks(argv[1]);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
