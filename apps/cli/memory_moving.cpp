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

constexpr size_t kExtent = 32 * kMiB;
constexpr size_t kMostExtentsAtOnce = 8;

ops::PatternRange whole(const memory::Pin& pin, uint64_t first_word, uint64_t seed) {
  return {reinterpret_cast<uint64_t*>(pin.data()), pin.size_bytes() / sizeof(uint64_t), seed,
          first_word};
}

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

}  // namespace

Result<std::vector<Figure>> MemoryBench::moving() {
  constexpr uint64_t kSeed = 42;
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
  for (size_t i = 0; i < region->extents(); ++i) {
    SPILLWAY_ASSIGN(const auto pin, region->pin(i * kExtent, kExtent, stream));
    SPILLWAY_TRY(ops::fill_pattern(*gpu_, whole(pin, i * kExtent / 8, kSeed), stream));
  }
  SPILLWAY_TRY(gpu_->synchronise(stream));

  std::atomic<bool> stop = false;
  Mover mover(*region, stop);
  uint64_t checked = 0;
  uint64_t least_free = before.free_bytes;
  const double started = now();
  Result<void> result;
  {
    const std::jthread thread([&] { mover.run(); });
    std::mt19937_64 random(3);
    while (result && !mover.error() && now() - started < options_.seconds) {
      // A range across extents, so that tiers mix within one launch.
      const uint64_t offset = round_down(random() % (bytes - 2 * kExtent), uint64_t{4096});
      const uint64_t size = 2 * kExtent;
      result = [&]() -> Result<void> {
        SPILLWAY_ASSIGN(const auto pin, region->pin(offset, size, stream));
        return ops::check_pattern(*gpu_, whole(pin, offset / 8, kSeed), wrong, stream);
      }();
      if (result && checked / size % 8 == 7) result = gpu_->synchronise(stream);
      if (const auto memory = gpu_->memory()) {
        least_free = std::min(least_free, memory->free_bytes);
      }
      checked += size;
    }
    stop = true;
  }
  SPILLWAY_TRY(result);
  if (mover.error()) return tl::make_unexpected(*mover.error());
  const double seconds = now() - started;
  // At last all of it.
  for (size_t i = 0; i < region->extents(); ++i) {
    SPILLWAY_ASSIGN(const auto pin, region->pin(i * kExtent, kExtent, stream));
    SPILLWAY_TRY(ops::check_pattern(*gpu_, whole(pin, i * kExtent / 8, kSeed), wrong, stream));
  }
  SPILLWAY_TRY(gpu_->synchronise(stream));
  SPILLWAY_TRY(gpu_->destroy_stream(stream));
  const memory::PoolStatistics s = pool->statistics();
  const double moved = static_cast<double>(s.extents_to_hbm + s.extents_to_host);
  const std::string size = format_size(bytes);
  return std::vector<Figure>{
      {size + " moving at random: wrong words", static_cast<double>(*wrong), "", 0, "",
       fmt::format("of {} checked in {:.0f} s, and all at the end", format_size(checked), seconds)},
      {size + " moving at random: extents moved", moved / seconds, "a second", 0, "",
       fmt::format("{} to HBM, {} to host", s.extents_to_hbm, s.extents_to_host)},
      {size + " moving at random: HBM charged at most",
       static_cast<double>(pool->budget(Tier::kHbm).usage().peak_bytes) / 1e9, "GB",
       static_cast<double>(hbm) / 1e9, "budget", ""},
      {size + " moving at random: HBM in use at most",
       static_cast<double>(before.total_bytes - least_free) / 1e9, "GB",
       static_cast<double>(hbm) / 1e9, "budget", "as the driver says, other processes included"}};
}

}  // namespace spillway::cli
