// Keys and values of one sequence, in blocks of kKvBlockTokens positions: charged for what the run
// can use, not for the model's whole context. Owned by the engine; thread-compatible.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/host_region.h"
#include "model/kv_layout.h"
#include "platform/platform.h"

namespace spillway::engine {

class KvCache {
 public:
  static size_t blocks_for(size_t positions);

  // kBudget, kMachine.
  static Result<KvCache> create(platform::Platform& platform, memory::Budget& budget,
                                const model::KvLayout& layout, size_t positions);

  size_t positions() const { return positions_; }  // that fit
  std::span<std::byte* const> blocks() const { return blocks_; }

 private:
  KvCache() = default;
  std::unique_ptr<memory::HostRegion> region_;
  std::vector<std::byte*> blocks_;
  size_t positions_ = 0;
};

}  // namespace spillway::engine
