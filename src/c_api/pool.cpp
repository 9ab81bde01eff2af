// Pools in C.
#include <algorithm>
#include <string>
#include <utility>

#include "c_api/call.h"
#include "c_api/handles.h"

namespace spillway::c_api {
namespace {

Result<std::unique_ptr<memory::Pool>> open(const spillway_pool_options& options) {
  memory::PoolOptions wanted = {.hbm_budget_bytes = bytes_of(options.hbm_budget_bytes),
                                .host_budget_bytes = bytes_of(options.host_budget_bytes),
                                .managed = options.managed != 0};
  if (const auto kept = bytes_of(options.kept_bytes)) wanted.kept_bytes = *kept;
  if (options.simulated_bytes == 0) return memory::Pool::open(options.device, wanted);
  return memory::Pool::simulate(options.simulated_bytes, wanted);
}

spillway_pool_statistics statistics_of(memory::Pool& pool) {
  const memory::PoolStatistics moved = pool.statistics();
  const memory::Budget& hbm = pool.budget(memory::Tier::kHbm);
  const memory::Budget& host = pool.budget(memory::Tier::kHost);
  return {.size = 0,
          .hbm_bytes = hbm.usage().bytes,
          .hbm_peak_bytes = hbm.usage().peak_bytes,
          .hbm_limit_bytes = hbm.limit_bytes(),
          .host_bytes = host.usage().bytes,
          .host_peak_bytes = host.usage().peak_bytes,
          .host_limit_bytes = host.limit_bytes(),
          .extents_to_hbm = moved.extents_to_hbm,
          .extents_to_host = moved.extents_to_host,
          .bytes_to_hbm = moved.bytes_to_hbm,
          .bytes_to_host = moved.bytes_to_host,
          .evicted_extents = moved.evicted_extents,
          .handles_created = moved.handles_created,
          .handles_reused = moved.handles_reused,
          .driver_calls = moved.driver_calls};
}

Result<void> give_text(const std::string& text, char* buffer, size_t capacity, size_t* length) {
  if (capacity > 0) SPILLWAY_TRY(require({{"buffer", buffer}}));
  if (capacity > 0) buffer[text.copy(buffer, capacity - 1)] = '\0';
  if (length != nullptr) *length = text.size();
  return {};
}

}  // namespace
}  // namespace spillway::c_api

using spillway::ErrorCode;
using spillway::Result;
using spillway::c_api::call;
using spillway::c_api::require;

spillway_status spillway_pool_open(const spillway_pool_options* options, spillway_pool** pool) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}}));
    SPILLWAY_ASSIGN(const auto given, spillway::c_api::read_options(options));
    auto handle = std::make_unique<spillway_pool>();
    SPILLWAY_ASSIGN(handle->pool, spillway::c_api::open(given));
    *pool = handle.release();
    return {};
  });
}

spillway_status spillway_pool_close(spillway_pool* pool) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}}));
    if (const size_t children = pool->children; children > 0) {
      return spillway::fail(
          ErrorCode::kUsage,
          "the pool still has {} regions, allocators, row workers, packed weights, unpackers and "
          "pieces of pinned memory together; destroy them first",
          children);
    }
    delete pool;
    return {};
  });
}

spillway_status spillway_pool_read_statistics(spillway_pool* pool,
                                              spillway_pool_statistics* statistics) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}, {"statistics", statistics}}));
    return spillway::c_api::write_statistics(spillway::c_api::statistics_of(*pool->pool),
                                             statistics);
  });
}

spillway_status spillway_pool_explain(spillway_pool* pool, char* buffer, size_t capacity,
                                      size_t* length) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}}));
    return spillway::c_api::give_text(pool->pool->explain(), buffer, capacity, length);
  });
}

spillway_status spillway_pool_report(spillway_pool* pool, char* buffer, size_t capacity,
                                     size_t* length) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}}));
    const std::string text = to_json(pool->pool->report());
    return spillway::c_api::give_text(text, buffer, capacity, length);
  });
}

spillway_status spillway_pool_trim(spillway_pool* pool) {
  return call([&]() -> Result<void> {
    SPILLWAY_TRY(require({{"pool", pool}}));
    pool->pool->trim();
    return {};
  });
}
