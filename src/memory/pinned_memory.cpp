#include "spillway/memory/pinned_memory.h"

#include <utility>

#include "base/result.h"
#include "memory/pool_state.h"
#include "memory/registered_range.h"

namespace spillway::memory {

struct PinnedMemory::State : Closable {
  explicit State(PoolState& owner) : pool(owner) {}
  Result<void> close() override { return range ? range->give_back() : Result<void>(); }

  PoolState& pool;
  Reservation charge;
  std::unique_ptr<RegisteredRange> range;  // goes first
};

Result<std::unique_ptr<PinnedMemory>> PinnedMemory::create(Pool& pool,
                                                           const PinnedMemoryOptions& options) {
  if (options.bytes == 0) {
    return fail(ErrorCode::kUsage, "'{}': 0 bytes of pinned memory; ask for some", options.name);
  }
  auto state = std::make_unique<State>(*pool.state_);
  SPILLWAY_ASSIGN(state->range, RegisteredRange::create(pool.gpu(), pool.os(), options.bytes));
  RegisteredRange& range = *state->range;
  SPILLWAY_ASSIGN(state->charge, pool.state_->charge(range.bytes().size(), Tier::kHost,
                                                     {options.tag, options.name}));
  SPILLWAY_TRY(range.commit(options.threads));
  SPILLWAY_TRY(range.register_with_gpu());
  return std::unique_ptr<PinnedMemory>(new PinnedMemory(std::move(state)));
}

PinnedMemory::PinnedMemory(std::unique_ptr<State> state) : state_(std::move(state)) {}

PinnedMemory::~PinnedMemory() {
  PoolState& pool = state_->pool;
  if (!state_->close()) pool.leave_unclosed(std::move(state_));
}

std::span<std::byte> PinnedMemory::bytes() const {
  return state_->range->bytes();
}

}  // namespace spillway::memory
