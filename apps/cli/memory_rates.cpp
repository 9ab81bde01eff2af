// Rates of copies, moves and new memory.
#include <algorithm>
#include <array>
#include <random>

#include "base/statistics.h"
#include "base/units.h"
#include "cli/memory_bench.h"
#include "memory/registered_range.h"
#include "platform/cuda_gpu.h"
#include "platform/linux/linux_platform.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::cli {
namespace {

using memory::Tier;

constexpr size_t kLive = 256;  // blocks of an allocator at once

}  // namespace

double gigabytes_per_second(double bytes, double seconds) {
  return bytes / std::max(seconds, 1e-9) / 1e9;
}

MemoryBench::MemoryBench(const MemoryBenchOptions& options, std::unique_ptr<platform::Gpu> gpu,
                         std::unique_ptr<platform::Platform> platform)
    : options_(options), gpu_(std::move(gpu)), platform_(std::move(platform)) {}

Result<std::unique_ptr<MemoryBench>> MemoryBench::create(const MemoryBenchOptions& options) {
  if (options.bytes < kExtent) {
    return fail(ErrorCode::kUsage, "--bytes {} is too little to measure with; it takes at least {}",
                format_size(options.bytes), format_size(kExtent));
  }
  std::unique_ptr<platform::Gpu> gpu;
  if (options.simulated_bytes > 0) {
    gpu = platform::make_simulated_gpu(
        {.total_bytes = options.simulated_bytes, .host_bytes = 2 * options.simulated_bytes});
  } else {
    SPILLWAY_ASSIGN(gpu, platform::open_cuda_gpu(options.device));
  }
  return std::unique_ptr<MemoryBench>(
      new MemoryBench(options, std::move(gpu), platform::make_linux_platform()));
}

Result<std::unique_ptr<memory::Pool>> MemoryBench::pool(uint64_t bytes, uint64_t kept_bytes) {
  return memory::Pool::create(*gpu_, {.hbm_budget_bytes = bytes + gpu_->info().context_bytes,
                                      .host_budget_bytes = bytes,
                                      .kept_bytes = kept_bytes});
}

Result<std::vector<Figure>> MemoryBench::copies() {
  SPILLWAY_ASSIGN(const auto pool, this->pool(options_.bytes, 0));
  SPILLWAY_ASSIGN(
      const auto hbm,
      pool->create_region({.size_bytes = options_.bytes, .extent_bytes = kExtent, .name = "HBM"}));
  SPILLWAY_ASSIGN(
      const auto host,
      pool->create_region({.size_bytes = options_.bytes, .extent_bytes = kExtent, .name = "host"}));
  SPILLWAY_TRY(hbm->make_resident(0, options_.bytes, Tier::kHbm));
  SPILLWAY_TRY(host->make_resident(0, options_.bytes, Tier::kHost));
  SPILLWAY_ASSIGN(const Stream stream, gpu_->create_stream());
  const auto rate = [&](std::byte* to, const std::byte* from) -> Result<double> {
    std::vector<double> rates;
    for (size_t i = 0; i <= options_.rounds; ++i) {
      const double started = now();
      SPILLWAY_TRY(gpu_->copy({to, from, options_.bytes}, stream));
      SPILLWAY_TRY(gpu_->synchronise(stream));
      if (i > 0) {  // the first warms up
        rates.push_back(static_cast<double>(options_.bytes) / (now() - started));
      }
    }
    return median(rates);
  };
  SPILLWAY_ASSIGN(to_hbm_, rate(hbm->data(), host->data()));
  SPILLWAY_ASSIGN(to_host_, rate(host->data(), hbm->data()));
  SPILLWAY_TRY(gpu_->destroy_stream(stream));
  return std::vector<Figure>{{"copy engine, host to HBM", to_hbm_ / 1e9, "GB/s", 0, "", ""},
                             {"copy engine, HBM to host", to_host_ / 1e9, "GB/s", 0, "", ""}};
}

Result<double> MemoryBench::time_move(memory::Region& region, Tier tier) {
  const double started = now();
  SPILLWAY_ASSIGN(const auto transfer, region.move(0, region.size_bytes(), tier));
  SPILLWAY_TRY(transfer.wait());
  return now() - started;
}

Result<std::vector<Figure>> MemoryBench::moves() {
  std::vector<Figure> figures;
  for (const size_t extent : {kExtent, 4 * kExtent}) {
    const uint64_t bytes = round_down(options_.bytes, extent);
    if (bytes < 2 * extent) continue;
    // The handles that an extent leaves are the next one's; a few are under way at once.
    SPILLWAY_ASSIGN(const auto pool, this->pool(bytes + 8 * extent, bytes + 8 * extent));
    SPILLWAY_ASSIGN(
        const auto region,
        pool->create_region({.size_bytes = bytes, .extent_bytes = extent, .name = "moving"}));
    SPILLWAY_TRY(region->make_resident(0, bytes, Tier::kHost));
    std::vector<double> up;
    std::vector<double> down;
    std::vector<double> pin;
    for (size_t i = 0; i <= options_.rounds; ++i) {
      SPILLWAY_ASSIGN(const double seconds_up, time_move(*region, Tier::kHbm));
      SPILLWAY_ASSIGN(const double seconds_down, time_move(*region, Tier::kHost));
      const double started = now();
      SPILLWAY_ASSIGN(const auto pinned, region->pin(0, bytes, Stream{}));
      const double seconds_pin = now() - started;
      if (i == 0) continue;  // makes the handles
      pin.push_back(gigabytes_per_second(static_cast<double>(bytes), seconds_pin));
      up.push_back(gigabytes_per_second(static_cast<double>(bytes), seconds_up));
      down.push_back(gigabytes_per_second(static_cast<double>(bytes), seconds_down));
    }
    const std::string size = format_size(extent);
    figures.push_back({"first pin after a move to host, extents of " + size, median(pin), "GB/s", 0,
                       "", "maps them"});
    figures.push_back(
        {"move to HBM, extents of " + size, median(up), "GB/s", to_hbm_ / 1e9, "copy engine", ""});
    figures.push_back({"move to host, extents of " + size, median(down), "GB/s", to_host_ / 1e9,
                       "copy engine", ""});
  }
  return figures;
}

// What the driver takes for the same calls: create and map each, access in one call over all.
Result<double> MemoryBench::time_raw_commit(size_t extent_bytes, platform::Place place,
                                            uint64_t bytes) {
  SPILLWAY_ASSIGN(std::byte* const start, gpu_->reserve(bytes, 0));
  std::vector<platform::HandleId> handles;
  const double started = now();
  for (uint64_t at = 0; at < bytes; at += extent_bytes) {
    SPILLWAY_ASSIGN(const platform::HandleId handle, gpu_->create(extent_bytes, place));
    handles.push_back(handle);
    SPILLWAY_TRY(gpu_->map(start + at, extent_bytes, handle));
  }
  SPILLWAY_TRY(gpu_->allow_access(start, bytes, place));
  const double seconds = now() - started;
  SPILLWAY_TRY(gpu_->unmap(start, bytes));
  for (const platform::HandleId handle : handles) SPILLWAY_TRY(gpu_->release(handle));
  SPILLWAY_TRY(gpu_->free_addresses(start, bytes));
  return seconds;
}

Result<std::vector<Figure>> MemoryBench::commits(size_t extent_bytes, Tier tier) {
  const uint64_t bytes = round_down(options_.bytes, extent_bytes);
  const auto place = tier == Tier::kHbm ? platform::Place::kDevice : platform::Place::kHost;
  SPILLWAY_ASSIGN(const auto pool, this->pool(bytes, 0));
  std::vector<double> ours;
  std::vector<double> raw;
  uint64_t calls = 0;
  for (size_t i = 0; i < options_.rounds; ++i) {
    SPILLWAY_ASSIGN(
        const auto region,
        pool->create_region({.size_bytes = bytes, .extent_bytes = extent_bytes, .name = "new"}));
    const uint64_t calls_before = gpu_->driver_calls();
    const double started = now();
    SPILLWAY_TRY(region->make_resident(0, bytes, tier));
    ours.push_back(gigabytes_per_second(static_cast<double>(bytes), now() - started));
    calls = gpu_->driver_calls() - calls_before;
    SPILLWAY_TRY(region->discard(0, bytes));
    SPILLWAY_ASSIGN(const double seconds, time_raw_commit(extent_bytes, place, bytes));
    raw.push_back(gigabytes_per_second(static_cast<double>(bytes), seconds));
  }
  const uint64_t extents = bytes / extent_bytes;
  const double per_extent = static_cast<double>(calls) / static_cast<double>(extents);
  return std::vector<Figure>{
      {fmt::format("new extents of {} in {}", format_size(extent_bytes), tier_name(tier)),
       median(ours), "GB/s", median(raw), "the driver's calls alone",
       fmt::format("{:.2f} driver calls an extent", per_extent)}};
}

Result<std::vector<Figure>> MemoryBench::pinned() {
  const uint64_t bytes = options_.pinned_bytes > 0 ? options_.pinned_bytes : options_.bytes;
  SPILLWAY_ASSIGN(const auto pool, this->pool(bytes, 0));
  std::vector<double> rates;
  std::vector<double> alone;
  for (size_t i = 0; i < options_.rounds; ++i) {
    double started = now();
    {
      SPILLWAY_ASSIGN(const auto made, memory::PinnedMemory::create(*pool, {.bytes = bytes}));
      rates.push_back(gigabytes_per_second(static_cast<double>(bytes), now() - started));
    }
    started = now();
    SPILLWAY_ASSIGN(const auto pages, memory::RegisteredRange::create(*gpu_, *platform_, bytes));
    SPILLWAY_TRY(pages->commit());
    alone.push_back(gigabytes_per_second(static_cast<double>(bytes), now() - started));
  }
  return std::vector<Figure>{{format_size(bytes) + " of pinned memory on huge pages", median(rates),
                              "GB/s", median(alone), "the same pages, not registered", ""}};
}

// Nanoseconds a step.
double MemoryBench::time_new_and_delete(std::span<const Step> steps) const {
  std::vector<std::unique_ptr<std::array<std::byte, 64>>> live(kLive);
  const double started = now();
  for (const Step& step : steps) {
    live[step.index].reset();
    live[step.index] = std::make_unique<std::array<std::byte, 64>>();
  }
  return (now() - started) / static_cast<double>(steps.size()) * 1e9;
}

Result<std::vector<Figure>> MemoryBench::allocator() {
  constexpr size_t kSteps = 1'000'000;
  SPILLWAY_ASSIGN(const auto pool, this->pool(options_.bytes, 0));
  SPILLWAY_ASSIGN(const auto allocator, memory::StreamAllocator::create(*pool, {}));
  SPILLWAY_ASSIGN(const Stream stream, gpu_->create_stream());
  std::mt19937 random(1);
  std::vector<std::pair<void*, size_t>> live(kLive, {nullptr, 0});
  std::vector<Step> steps(kSteps);
  for (auto& [index, bytes] : steps) {
    index = random() % kLive;
    bytes = 1 + random() % (options_.bytes / (4 * kLive));
  }
  std::vector<double> nanoseconds;
  std::vector<double> least_work;
  uint64_t calls = 0;
  for (size_t i = 0; i <= options_.rounds; ++i) {
    calls = gpu_->driver_calls();
    const double started = now();
    for (const auto& [index, bytes] : steps) {
      auto& [pointer, held] = live[index];
      allocator->deallocate(stream, pointer, held);
      SPILLWAY_ASSIGN(pointer, allocator->allocate(stream, bytes));
      held = bytes;
    }
    calls = gpu_->driver_calls() - calls;
    if (i > 0) nanoseconds.push_back((now() - started) / kSteps * 1e9);
    if (i > 0) least_work.push_back(time_new_and_delete(steps));
  }
  for (auto& [pointer, bytes] : live) allocator->deallocate(stream, pointer, bytes);
  SPILLWAY_TRY(gpu_->synchronise(stream));
  SPILLWAY_TRY(gpu_->destroy_stream(stream));
  const auto [least, most] = std::minmax_element(nanoseconds.begin(), nanoseconds.end());
  return std::vector<Figure>{
      {"allocate and deallocate, random sizes", median(nanoseconds), "ns", median(least_work),
       "new and delete of 64 bytes in the same order",
       fmt::format("{:.1f} to {:.1f}; {} driver calls in {} steps", *least, *most, calls, kSteps)}};
}

}  // namespace spillway::cli
