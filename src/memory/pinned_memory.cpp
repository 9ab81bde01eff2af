#include "spillway/memory/pinned_memory.h"

#include <utility>

#include "base/result.h"
#include "memory/registered_range.h"

namespace spillway::memory {

struct PinnedMemory::State {
  Reservation charge;
  std::unique_ptr<RegisteredRange> range;  // goes first
};

Result<std::unique_ptr<PinnedMemory>> PinnedMemory::create(Pool& pool,
                                                           const PinnedMemoryOptions& options) {
  if (options.bytes == 0) {
    return fail(ErrorCode::kUsage, "'{}': 0 bytes of pinned memory; ask for some", options.name);
  }
  auto state = std::make_unique<State>();
  SPILLWAY_ASSIGN(state->range, RegisteredRange::create(pool.gpu(), pool.os(), options.bytes));
  SPILLWAY_ASSIGN(
      state->charge,
      pool.budget(Tier::kHost).reserve(state->range->bytes().size(), options.tag, options.name));
  SPILLWAY_TRY(state->range->commit(options.threads));
  SPILLWAY_TRY(state->range->register_with_gpu());
  return std::unique_ptr<PinnedMemory>(new PinnedMemory(std::move(state)));
}

PinnedMemory::PinnedMemory(std::unique_ptr<State> state) : state_(std::move(state)) {}
PinnedMemory::~PinnedMemory() = default;

std::span<std::byte> PinnedMemory::bytes() const {
  return state_->range->bytes();
}

}  // namespace spillway::memory
