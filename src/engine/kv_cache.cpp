#include "engine/kv_cache.h"

#include "engine/workload.h"

namespace spillway::engine {

size_t KvCache::blocks_for(size_t positions) {
  return (positions + kKvBlockTokens - 1) / kKvBlockTokens;
}

Result<KvCache> KvCache::create(platform::Platform& platform, memory::Budget& budget,
                                const model::KvLayout& layout, size_t positions) {
  KvCache cache;
  const size_t blocks = blocks_for(positions);
  const size_t bytes = blocks * layout.block_bytes;
  SPILLWAY_ASSIGN(cache.region_,
                  memory::HostRegion::create(platform, budget, memory::Tag::kKv,
                                             fmt::format("{} positions", positions), bytes));
  SPILLWAY_TRY(cache.region_->make_resident(0, bytes));
  for (size_t i = 0; i < blocks; ++i) {
    cache.blocks_.push_back(cache.region_->bytes().data() + i * layout.block_bytes);
  }
  cache.positions_ = positions;
  return cache;
}

}  // namespace spillway::engine
