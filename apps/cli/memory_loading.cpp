// Host memory that is made while what came before it is filled, as a loader does it.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <semaphore>
#include <thread>

#include "base/statistics.h"
#include "base/thread_pool.h"
#include "base/units.h"
#include "cli/memory_bench.h"

namespace spillway::cli {
namespace {

using memory::Tier;

constexpr size_t kExtent = 32 * kMiB;
constexpr size_t kSource = 256 * kMiB;  // beyond the caches
constexpr unsigned kMostThreads = 4;    // that fill

// Copies what a loader has read, over and over, into extents of a region.
class Filler {
 public:
  Filler(memory::Region& region, unsigned threads)
      : region_(region), source_(kSource, std::byte{1}), threads_(threads) {}

  Result<void> fill(size_t extent) {
    SPILLWAY_ASSIGN(const auto pin, region_.pin_for_host(extent * kExtent, kExtent));
    const std::byte* const from = source_.data() + extent * kExtent % kSource;
    threads_.run(kExtent, kMiB, [&](size_t begin, size_t end) {
      std::memcpy(pin.data() + begin, from + begin, end - begin);
    });
    return {};
  }

  Result<void> fill_all() {
    for (size_t i = 0; i < region_.extents(); ++i) SPILLWAY_TRY(fill(i));
    return {};
  }

 private:
  memory::Region& region_;
  const std::vector<std::byte> source_;
  ThreadPool threads_;
};

// Fills each extent once another thread has made it.
Result<void> load(memory::Region& region, Filler& filler) {
  std::counting_semaphore<> made(0);
  std::atomic<bool> stop = false;
  Result<void> making;
  Result<void> filling;
  {
    const std::jthread maker([&] {
      for (size_t i = 0; i < region.extents() && !stop; ++i) {
        making = region.make_resident(i * kExtent, kExtent, Tier::kHost);
        if (!making) stop = true;
        made.release();
      }
    });
    for (size_t i = 0; i < region.extents() && !stop; ++i) {
      made.acquire();
      if (stop) break;
      filling = filler.fill(i);
      if (!filling) stop = true;
    }
  }
  SPILLWAY_TRY(std::move(making));
  return filling;
}

}  // namespace

Result<std::vector<Figure>> MemoryBench::loading() {
  const uint64_t bytes = round_down(options_.bytes, kExtent);
  SPILLWAY_ASSIGN(const auto pool, this->pool(bytes, 0));
  SPILLWAY_ASSIGN(
      const auto region,
      pool->create_region({.size_bytes = bytes, .extent_bytes = kExtent, .name = "loading"}));
  Filler filler(*region, std::clamp(platform_->processor().cores - 1, 1U, kMostThreads));
  std::vector<double> loads;
  std::vector<double> making;
  std::vector<double> filling;
  const auto rate = [&](double started) {
    return static_cast<double>(bytes) / std::max(now() - started, 1e-9) / 1e9;
  };
  for (size_t i = 0; i < options_.rounds; ++i) {
    SPILLWAY_ASSIGN(const double seconds, time_raw_commit(kExtent, platform::Place::kHost, bytes));
    making.push_back(static_cast<double>(bytes) / seconds / 1e9);
    double started = now();
    SPILLWAY_TRY(load(*region, filler));
    loads.push_back(rate(started));
    started = now();
    SPILLWAY_TRY(filler.fill_all());
    filling.push_back(rate(started));
    SPILLWAY_TRY(region->discard(0, bytes));
  }
  const bool slow_making = median(making) < median(filling);
  return std::vector<Figure>{
      {"new extents of 32.0 MiB in host, filled as they come", median(loads), "GB/s",
       std::min(median(making), median(filling)),
       slow_making ? "the driver's calls alone" : "filling alone",
       fmt::format("making alone {:.2f}, filling alone {:.2f}", median(making), median(filling))}};
}

}  // namespace spillway::cli
