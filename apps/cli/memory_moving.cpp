// A region that moves at random while kernels check it.
#include <atomic>
#include <random>
#include <thread>

#include "base/units.h"
#include "cli/memory_bench.h"
#include "ops/pattern_kernels.h"

namespace spillway::cli {
namespace {

using memory::Tier;

constexpr size_t kMostExtentsAtOnce = 8;
constexpr uint64_t kSeed = 42;

// A region whose words tell their place, and the launches that write and check them.
class PatternedRegion {
 public:
  // The GPU counts wrong words in *wrong.
  PatternedRegion(platform::Gpu& gpu, memory::Region& region, Stream stream, uint64_t* wrong)
      : gpu_(gpu), region_(region), stream_(stream), wrong_(wrong) {}

  Result<void> fill() {
    for (uint64_t at = 0; at < region_.size_bytes(); at += kExtent) {
      SPILLWAY_ASSIGN(const auto pin, region_.pin(at, kExtent, stream_));
      SPILLWAY_TRY(ops::fill_pattern(gpu_, words_of(pin, at), stream_));
    }
    return wait();
  }

  Result<void> check(uint64_t offset, uint64_t size) {
    SPILLWAY_ASSIGN(const auto pin, region_.pin(offset, size, stream_));
    return ops::check_pattern(gpu_, words_of(pin, offset), wrong_, stream_);
  }

  Result<void> check_all() {
    for (uint64_t at = 0; at < region_.size_bytes(); at += kExtent) {
      SPILLWAY_TRY(check(at, kExtent));
    }
    return wait();
  }

  Result<void> wait() { return gpu_.synchronise(stream_); }

 private:
  static ops::PatternRange words_of(const memory::Pin& pin, uint64_t offset) {
    return {reinterpret_cast<uint64_t*>(pin.data()), pin.size_bytes() / sizeof(uint64_t), kSeed,
            offset / sizeof(uint64_t)};
  }

  platform::Gpu& gpu_;
  memory::Region& region_;
  const Stream stream_;
  uint64_t* const wrong_;
};

// Moves ranges until it is told to stop. Pinned extents are refused, a full tier is an answer.
class Mover {
 public:
  Mover(memory::Region& region, const std::atomic<bool>& stop) : region_(region), stop_(stop) {}

  void run() {
    std::mt19937 random(7);
    while (!stop_) {
      const size_t first = random() % region_.extents();
      const size_t count = 1 + random() % std::min(kMostExtentsAtOnce, region_.extents() - first);
      const Tier tier = random() % 2 == 0 ? Tier::kHbm : Tier::kHost;
      const auto transfer = region_.move(first * kExtent, count * kExtent, tier);
      const Result<void> done = transfer ? transfer->wait() : tl::make_unexpected(transfer.error());
      if (!done && done.error().code == ErrorCode::kMachine) error_ = done.error();
      if (error_) return;
    }
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  memory::Region& region_;
  const std::atomic<bool>& stop_;
  std::optional<Error> error_;
};

struct Checked {
  uint64_t bytes = 0;
  double seconds = 0;
  uint64_t least_free_bytes = UINT64_MAX;  // of the GPU's memory, meanwhile
};

// Checks ranges at random for so long, while the region's extents move.
Result<Checked> check_while_moving(const platform::Clock& clock, const platform::Gpu& gpu,
                                   memory::Region& region, PatternedRegion& pattern,
                                   double seconds) {
  constexpr uint64_t kSize = 2 * kExtent;  // across extents: tiers mix within one launch
  std::atomic<bool> stop = false;
  Mover mover(region, stop);
  Checked checked;
  Result<void> result;
  const double started = clock.seconds();
  {
    const std::jthread thread([&] { mover.run(); });
    std::mt19937_64 random(3);
    while (result && !mover.error() && clock.seconds() - started < seconds) {
      result = pattern.check(round_down(random() % (region.size_bytes() - kSize), uint64_t{4096}),
                             kSize);
      if (result && checked.bytes / kSize % 8 == 7) result = pattern.wait();
      if (const auto memory = gpu.memory()) {
        checked.least_free_bytes = std::min(checked.least_free_bytes, memory->free_bytes);
      }
      checked.bytes += kSize;
    }
    stop = true;
  }
  SPILLWAY_TRY(result);
  if (mover.error()) return tl::make_unexpected(*mover.error());
  checked.seconds = clock.seconds() - started;
  return checked;
}

}  // namespace

Result<std::vector<Figure>> MemoryBench::moving() {
  const uint64_t bytes =
      round_up(options_.moving_bytes > 0 ? options_.moving_bytes : 3 * options_.bytes, 3 * kExtent);
  const uint64_t hbm = bytes / 3 + gpu_->info().context_bytes;
  SPILLWAY_ASSIGN(const auto pool, memory::Pool::create(*gpu_, {.hbm_budget_bytes = hbm,
                                                                .host_budget_bytes = bytes,
                                                                .kept_bytes = bytes}));
  SPILLWAY_ASSIGN(const auto region,
                  pool->create_region(
                      {.size_bytes = bytes, .extent_bytes = kExtent, .name = "moving at random"}));
  SPILLWAY_TRY(region->make_resident(0, bytes / 3, Tier::kHbm));
  SPILLWAY_TRY(region->make_resident(bytes / 3, bytes - bytes / 3, Tier::kHost));
  SPILLWAY_ASSIGN(const auto counter, memory::PinnedMemory::create(*pool, {.bytes = 4096}));
  SPILLWAY_ASSIGN(const Stream stream, gpu_->create_stream());
  SPILLWAY_ASSIGN(const platform::GpuMemory before, gpu_->memory());
  auto* wrong = reinterpret_cast<uint64_t*>(counter->bytes().data());
  PatternedRegion pattern(*gpu_, *region, stream, wrong);
  SPILLWAY_TRY(pattern.fill());
  SPILLWAY_ASSIGN(const Checked checked, check_while_moving(platform_->clock(), *gpu_, *region,
                                                            pattern, options_.seconds));
  SPILLWAY_TRY(pattern.check_all());
  SPILLWAY_TRY(gpu_->destroy_stream(stream));
  const memory::PoolStatistics s = pool->statistics();
  const uint64_t charged = pool->budget(memory::Tier::kHbm).usage().peak_bytes;
  if (*wrong > 0 || charged > hbm || s.extents_to_hbm + s.extents_to_host == 0) {
    return fail(
        ErrorCode::kMachine,
        "moving at random: {} wrong words, {} of HBM charged with a budget of {}, {} extents "
        "moved: this must not be",
        *wrong, format_size(charged), format_size(hbm), s.extents_to_hbm + s.extents_to_host);
  }
  const double moved = static_cast<double>(s.extents_to_hbm + s.extents_to_host);
  const std::string size = format_size(bytes);
  return std::vector<Figure>{
      {size + " moving at random: wrong words", static_cast<double>(*wrong), "", 0, "",
       fmt::format("of {} checked in {:.0f} s, and all at the end", format_size(checked.bytes),
                   checked.seconds)},
      {size + " moving at random: extents moved", moved / checked.seconds, "a second", 0, "",
       fmt::format("{} to HBM, {} to host", s.extents_to_hbm, s.extents_to_host)},
      {size + " moving at random: HBM charged at most", static_cast<double>(charged) / 1e9, "GB",
       static_cast<double>(hbm) / 1e9, "budget", ""},
      {size + " moving at random: HBM in use at most",
       static_cast<double>(before.total_bytes -
                           std::min(before.free_bytes, checked.least_free_bytes)) /
           1e9,
       "GB", static_cast<double>(hbm) / 1e9, "budget",
       "as the driver says, other processes included"}};
}

}  // namespace spillway::cli
