// Regions, transfers and pins in C.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "c_api/call.h"
#include "c_api/handles.h"

namespace spillway::c_api {
namespace {

Result<memory::Eviction> eviction_of(spillway_eviction eviction) {
  switch (eviction) {
    case SPILLWAY_EVICT_NEVER:
      return memory::Eviction::kNever;
    case SPILLWAY_EVICT_LEAST_RECENTLY_PINNED:
      return memory::Eviction::kLeastRecentlyPinned;
    default:
      return fail(ErrorCode::kUsage, "{} is no spillway_eviction", eviction);
  }
}

Result<memory::RegionOptions> options_of(const spillway_region_options& given) {
  memory::RegionOptions options;
  options.size_bytes = given.size_bytes;
  if (given.extent_bytes != 0) options.extent_bytes = given.extent_bytes;
  SPILLWAY_ASSIGN(options.tag, tag_of(given.tag));
  SPILLWAY_ASSIGN(options.eviction, eviction_of(given.eviction));
  if (given.only != SPILLWAY_NOWHERE) {
    SPILLWAY_ASSIGN(options.only, tier_of(given.only));
  }
  SPILLWAY_TRY(check_reserved(given.reserved));
  options.name = given.name != nullptr ? given.name : "region";
  return options;
}

spillway_residency_run run_of(const memory::Residency& run) {
  spillway_tier tier = SPILLWAY_NOWHERE;
  if (run.tier) tier = *run.tier == memory::Tier::kHbm ? SPILLWAY_HBM : SPILLWAY_HOST;
  return {.first = run.first, .end = run.end, .tier = tier, .reserved = 0};
}

}  // namespace
}  // namespace spillway::c_api

using spillway::ErrorCode;
using spillway::Result;
using spillway::c_api::call;
using spillway::c_api::require;
using spillway::c_api::tier_of;

spillway_status spillway_region_create(spillway_pool* pool, const spillway_region_options* options,
                                       spillway_region** region) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}, {"region", region}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    SPILLWAY_ASSIGN(const auto wanted, spillway::c_api::options_of(given));
    auto handle = std::make_unique<spillway_region>(*pool);
    SPILLWAY_ASSIGN(handle->region, pool->pool->create_region(wanted));
    *region = handle.release();
    return {};
  });
}

spillway_status spillway_region_destroy(spillway_region* region) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}}));
    if (const size_t pins = region->pins; pins > 0) {
      return spillway::fail(ErrorCode::kUsage, "the region still has {} pins; unpin it first",
                            pins);
    }
    delete region;
    return {};
  });
}

spillway_status spillway_region_data(spillway_region* region, void** data) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}, {"data", data}}));
    *data = region->region->data();
    return {};
  });
}

spillway_status spillway_region_size(spillway_region* region, uint64_t* size_bytes) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}, {"size_bytes", size_bytes}}));
    *size_bytes = region->region->size_bytes();
    return {};
  });
}

spillway_status spillway_region_extent_size(spillway_region* region, uint64_t* extent_bytes) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}, {"extent_bytes", extent_bytes}}));
    *extent_bytes = region->region->extent_bytes();
    return {};
  });
}

spillway_status spillway_region_residency(spillway_region* region, spillway_residency_run* runs,
                                          size_t capacity, size_t* count) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}, {"count", count}}));
    if (capacity > 0) SPILLWAY_TRY(require({{"runs", runs}}));
    const std::vector<spillway::memory::Residency> all = region->region->residency();
    const auto fitting = static_cast<std::ptrdiff_t>(std::min(capacity, all.size()));
    std::transform(all.begin(), all.begin() + fitting, runs, spillway::c_api::run_of);
    *count = all.size();
    return {};
  });
}

spillway_status spillway_region_make_resident(spillway_region* region, uint64_t offset,
                                              uint64_t size, spillway_tier tier) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}}));
    SPILLWAY_ASSIGN(const auto place, tier_of(tier));
    return region->region->make_resident(offset, size, place);
  });
}

spillway_status spillway_region_move(spillway_region* region, uint64_t offset, uint64_t size,
                                     spillway_tier tier, spillway_transfer** transfer) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}, {"transfer", transfer}}));
    SPILLWAY_ASSIGN(const auto place, tier_of(tier));
    auto handle = std::make_unique<spillway_transfer>();
    SPILLWAY_ASSIGN(handle->transfer, region->region->move(offset, size, place));
    *transfer = handle.release();
    return {};
  });
}

spillway_status spillway_region_discard(spillway_region* region, uint64_t offset, uint64_t size) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}}));
    return region->region->discard(offset, size);
  });
}

spillway_status spillway_transfer_ended(spillway_transfer* transfer, int* ended) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"transfer", transfer}, {"ended", ended}}));
    *ended = transfer->transfer.ended() ? 1 : 0;
    return {};
  });
}

spillway_status spillway_transfer_wait(spillway_transfer* transfer) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"transfer", transfer}}));
    return transfer->transfer.wait();
  });
}

spillway_status spillway_transfer_destroy(spillway_transfer* transfer) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"transfer", transfer}}));
    delete transfer;
    return {};
  });
}

spillway_status spillway_region_pin(spillway_region* region, uint64_t offset, uint64_t size,
                                    spillway_stream stream, spillway_pin** pin) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}, {"pin", pin}}));
    auto handle = std::make_unique<spillway_pin>(*region);
    SPILLWAY_ASSIGN(handle->pin, region->region->pin(offset, size, spillway::Stream{stream}));
    *pin = handle.release();
    return {};
  });
}

spillway_status spillway_region_pin_for_host(spillway_region* region, uint64_t offset,
                                             uint64_t size, spillway_pin** pin) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"region", region}, {"pin", pin}}));
    auto handle = std::make_unique<spillway_pin>(*region);
    SPILLWAY_ASSIGN(handle->pin, region->region->pin_for_host(offset, size));
    *pin = handle.release();
    return {};
  });
}

spillway_status spillway_unpin(spillway_pin* pin) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pin", pin}}));
    delete pin;
    return {};
  });
}
