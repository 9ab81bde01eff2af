// Host memory that is made while what came before it is filled, as a loader does it.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <semaphore>
#include <thread>

#include "base/statistics.h"
#include "base/units.h"
#include "cli/memory_bench.h"

namespace spillway::cli {
namespace {

using memory::Tier;

constexpr size_t kSource = 256 * kMiB;  // beyond the caches
// Extents that are made in one call: the driver takes a millisecond longer for it while a copy
// runs.
constexpr size_t kAtOnce = 4;

// Brings what a loader has read to extents of a region by the copy engine, as it would to HBM: the
// CPU's own access to an extent costs the driver's time, which is what making the next one takes.
class Filler {
 public:
  static Result<std::unique_ptr<Filler>> create(platform::Gpu& gpu, memory::Pool& pool,
                                                memory::Region& region) {
    std::unique_ptr<Filler> filler(new Filler(gpu, region));
    for (Staging& staging : filler->staging_) {
      SPILLWAY_ASSIGN(staging.memory, memory::PinnedMemory::create(pool, {.bytes = kExtent}));
      SPILLWAY_ASSIGN(staging.copied, gpu.create_event());
    }
    SPILLWAY_ASSIGN(filler->stream_, gpu.create_stream());
    return filler;
  }
  ~Filler() {
    for (const Staging& staging : staging_) (void)gpu_.destroy_event(staging.copied);
    (void)gpu_.destroy_stream(stream_);
  }
  Filler(const Filler&) = delete;
  Filler& operator=(const Filler&) = delete;

  Result<void> fill(size_t extent) {
    Staging& staging = staging_[extent % staging_.size()];
    SPILLWAY_TRY(gpu_.wait(staging.copied));
    const std::span<std::byte> bytes = staging.memory->bytes();
    const std::byte* const from = source_.data() + extent * kExtent % kSource;
    std::memcpy(bytes.data(), from, kExtent);
    SPILLWAY_ASSIGN(const auto pin, region_.pin(extent * kExtent, kExtent, stream_));
    SPILLWAY_TRY(gpu_.copy({pin.data(), bytes.data(), kExtent}, stream_));
    return gpu_.record(staging.copied, stream_);
  }

  Result<void> fill_all() {
    for (size_t i = 0; i < region_.extents(); ++i) SPILLWAY_TRY(fill(i));
    return wait();
  }
  Result<void> wait() { return gpu_.synchronise(stream_); }

 private:
  struct Staging {
    std::unique_ptr<memory::PinnedMemory> memory;
    platform::EventId copied;
  };

  Filler(platform::Gpu& gpu, memory::Region& region)
      : gpu_(gpu), region_(region), source_(kSource, std::byte{1}) {}

  platform::Gpu& gpu_;
  memory::Region& region_;
  const std::vector<std::byte> source_;
  std::array<Staging, 2> staging_;
  Stream stream_;
};

// Fills each extent once another thread has made it.
Result<void> load(memory::Region& region, Filler& filler) {
  std::counting_semaphore<> made(0);
  std::atomic<bool> stop = false;
  Result<void> making;
  Result<void> filling;
  {
    const std::jthread maker([&] {
      for (size_t i = 0; i < region.extents() && !stop; i += kAtOnce) {
        const size_t count = std::min(kAtOnce, region.extents() - i);
        making = region.make_resident(i * kExtent, count * kExtent, Tier::kHost);
        if (!making) stop = true;
        made.release(static_cast<ptrdiff_t>(count));
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
  SPILLWAY_TRY(std::move(filling));
  return filler.wait();
}

}  // namespace

Result<std::vector<Figure>> MemoryBench::loading() {
  const uint64_t bytes = round_down(options_.bytes, kExtent);
  SPILLWAY_ASSIGN(const auto pool, this->pool(bytes + 2 * kExtent, 0));
  SPILLWAY_ASSIGN(
      const auto region,
      pool->create_region({.size_bytes = bytes, .extent_bytes = kExtent, .name = "loading"}));
  SPILLWAY_ASSIGN(const auto filler, Filler::create(*gpu_, *pool, *region));
  std::vector<double> loads;
  std::vector<double> making;
  std::vector<double> filling;
  const auto rate = [&](double started) {
    return gigabytes_per_second(static_cast<double>(bytes), now() - started);
  };
  for (size_t i = 0; i < options_.rounds; ++i) {
    SPILLWAY_ASSIGN(const double seconds, time_raw_commit(kExtent, platform::Place::kHost, bytes));
    making.push_back(gigabytes_per_second(static_cast<double>(bytes), seconds));
    double started = now();
    SPILLWAY_TRY(load(*region, *filler));
    loads.push_back(rate(started));
    started = now();
    SPILLWAY_TRY(filler->fill_all());
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
