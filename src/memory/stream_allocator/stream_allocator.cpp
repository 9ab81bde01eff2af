// The calls of StreamAllocator: the ways that make no call of the driver. What else happens when
// nothing is free is in misses.cpp.
#include "spillway/memory/stream_allocator.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/result.h"
#include "base/units.h"
#include "memory/region_source.h"
#include "memory/stream_allocator/state.h"

namespace spillway::memory {
namespace {

// cudaStreamPerThread: one name for as many streams as there are threads.
bool is_per_thread(Stream stream) {
  return reinterpret_cast<uintptr_t>(stream.native) == 2;
}

tl::unexpected<Error> refuse_per_thread() {
  return fail(ErrorCode::kUsage,
              "the per-thread default stream is another stream in each thread: name the stream");
}

}  // namespace

Result<std::unique_ptr<StreamAllocator>> StreamAllocator::create(
    Pool& pool, const StreamAllocatorOptions& options) {
  SPILLWAY_ASSIGN(auto source, RegionSource::create(pool, options));
  auto allocator = create(*source, options);
  allocator->state_->own_source = std::move(source);
  return allocator;
}

std::unique_ptr<StreamAllocator> StreamAllocator::create(SegmentSource& source,
                                                         const StreamAllocatorOptions& options) {
  return std::unique_ptr<StreamAllocator>(
      new StreamAllocator(std::make_unique<State>(source, options)));
}

StreamAllocator::StreamAllocator(std::unique_ptr<State> state) : state_(std::move(state)) {}

StreamAllocator::~StreamAllocator() {
  Arena& arena = state_->arena;
  for (uint32_t i = 0; i < arena.lanes(); ++i) {
    for (const NumberedMark& open : arena.lane(i).open) state_->source.drop(open.mark);
  }
  for (const Segment& extent : arena.take_out_all()) {
    (void)state_->source.shrink(extent.start, extent.bytes);
  }
}

Result<void*> StreamAllocator::allocate(Stream stream, size_t bytes, size_t alignment) {
  SPILLWAY_TRY(check_alignment(alignment));
  if (is_per_thread(stream)) return refuse_per_thread();
  if (bytes == 0) return nullptr;
  if (bytes > FreeLists::kMostBytes) {
    return fail(ErrorCode::kBudget, "{} are more than any GPU has", format_size(bytes));
  }
  const size_t size = aligned_size(bytes);
  uint32_t lane = 0;
  {
    const std::lock_guard lock(state_->mutex);
    Arena& arena = state_->arena;
    lane = arena.lane_of(stream);
    if (const Block* block = arena.take(lane, size)) {
      ++arena.statistics().hits;
      SPILLWAY_DCHECK(arena.valid());
      return block->start;
    }
    ++arena.statistics().misses;
  }
  return state_->allocate_slowly(lane, size);
}

void StreamAllocator::deallocate(Stream stream, void* pointer, size_t bytes,
                                 size_t alignment) noexcept {
  (void)bytes;
  (void)alignment;
  if (pointer == nullptr) return;
  // Nobody else could ask it later how far it has come. If it cannot be asked now, the block stays
  // allocated: its stream may be at work.
  const bool per_thread = is_per_thread(stream);
  if (per_thread && !state_->wait_for_all_of(stream)) return;
  const std::lock_guard lock(state_->mutex);
  Arena& arena = state_->arena;
  arena.free(pointer, per_thread ? arena.owner_of(pointer) : arena.lane_of(stream));
  SPILLWAY_DCHECK(arena.valid());
}

Result<void> StreamAllocator::record_use(void* pointer, Stream stream) {
  if (is_per_thread(stream)) return refuse_per_thread();
  const std::lock_guard lock(state_->mutex);
  if (!state_->arena.record_use(pointer, state_->arena.lane_of(stream))) {
    return fail(ErrorCode::kUsage, "{} is no block that is allocated here", pointer);
  }
  return {};
}

Result<size_t> StreamAllocator::trim() {
  return state_->give_back_idle(0);
}

StreamAllocatorStatistics StreamAllocator::statistics() const {
  const std::lock_guard lock(state_->mutex);
  StreamAllocatorStatistics statistics = state_->arena.statistics();
  statistics.cached_bytes = statistics.held_bytes - statistics.used_bytes;
  return statistics;
}

std::string StreamAllocator::explain() const {
  const std::lock_guard lock(state_->mutex);
  return state_->arena.explain();
}

bool StreamAllocator::valid() const {
  const std::lock_guard lock(state_->mutex);
  return state_->arena.valid();
}

}  // namespace spillway::memory
