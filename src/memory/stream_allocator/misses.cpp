// What a StreamAllocator does when a stream has nothing free: it asks the others, then the source,
// then waits for the others, then gives idle granules back so that the source has some in one
// piece, and at last, if it may, spills. No call of the source is made under the mutex, so each
// step looks again at what is there.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/result.h"
#include "base/units.h"
#include "memory/stream_allocator/state.h"

namespace spillway::memory {

Result<std::byte*> SegmentSource::spill(size_t bytes) {
  return fail(ErrorCode::kBudget, "there is no second tier for {}", format_size(bytes));
}

namespace {

constexpr int kRounds = 16;  // of a thread that is short of memory

}  // namespace

Result<void*> StreamAllocator::State::allocate_slowly(uint32_t lane, size_t bytes) {
  if (void* pointer = take_any(lane, bytes)) return pointer;
  look_at_events(lane, bytes);
  if (void* pointer = take_any(lane, bytes)) return pointer;
  auto grown = grow(lane, bytes);
  return grown ? grown : allocate_in_shortage(lane, bytes);
}

Result<void*> StreamAllocator::State::allocate_in_shortage(uint32_t lane, size_t bytes) {
  const std::lock_guard alone(shortage_);
  Result<void*> grown;
  bool again = true;  // something was freed meanwhile, and perhaps taken before it was seen here
  for (int round = 0; again && round < kRounds; ++round) {
    const uint64_t frees = count_frees();
    if (void* pointer = take_any(lane, bytes)) return pointer;
    if (void* pointer = wait_and_take(lane, bytes)) return pointer;
    (void)give_back_idle_alone(lane);
    grown = grow(lane, bytes);  // also if nothing was given back: others may have, before
    if (grown) return grown;
    again = count_frees() != frees;
  }
  if (options.spills) {
    auto spilled = spill(lane, bytes);
    if (spilled) return spilled;
    grown.error().message += "; " + spilled.error().message;
  }
  const std::lock_guard lock(mutex);
  ++arena.statistics().failures;
  return fail(grown.error().code, "{} for stream {} are not to be had: {}\n{}", format_size(bytes),
              arena.lane(lane).stream.native, grown.error().message, arena.explain());
}

uint64_t StreamAllocator::State::count_frees() {
  const std::lock_guard lock(mutex);
  return arena.frees();
}

void* StreamAllocator::State::take_any(uint32_t lane, size_t bytes) {
  const std::lock_guard lock(mutex);
  const Block* const block = arena.take_any(lane, bytes);
  SPILLWAY_DCHECK(arena.valid());
  return block == nullptr ? nullptr : block->start;
}

Result<void*> StreamAllocator::State::grow(uint32_t lane, size_t bytes) {
  const size_t granule = source.granule_bytes();
  const size_t least = round_up(bytes, granule);
  const size_t wanted = round_up(std::max(bytes, options.segment_bytes), granule);
  size_t size = wanted;
  auto start = source.grow(size);
  if (!start && least < wanted) {
    size = least;
    start = source.grow(size);
  }
  if (!start) return tl::make_unexpected(std::move(start).error());
  return add({.start = *start, .bytes = size}, lane, bytes);
}

Result<void*> StreamAllocator::State::spill(uint32_t lane, size_t bytes) {
  const size_t size = round_up(bytes, source.granule_bytes());
  SPILLWAY_ASSIGN(std::byte* const start, source.spill(size));
  {
    const std::lock_guard lock(mutex);
    arena.statistics().spilled_bytes += size;
  }
  return add({.start = start, .bytes = size}, lane, bytes);
}

void* StreamAllocator::State::add(Segment segment, uint32_t lane, size_t bytes) {
  const std::lock_guard lock(mutex);
  arena.add(segment, lane);
  const Block* const block = arena.take_any(lane, bytes);
  SPILLWAY_CHECK(block != nullptr);
  SPILLWAY_DCHECK(arena.valid());
  return block->start;
}

// Polls what is known to be open, and records events where somebody needs one.
void StreamAllocator::State::look_at_events(uint32_t lane, size_t bytes) {
  std::vector<Errand> errands;
  {
    const std::lock_guard lock(mutex);
    arena.want_others(lane, bytes);
    errands = begin_errands(false);
  }
  // An error leaves the blocks as they are: not known to be safe.
  for (Errand& errand : errands) (void)run(errand, false);
  end(std::move(errands));
}

// Under the mutex. An event's number is given before it is recorded: what is freed from now on is
// stamped with a later one. Another thread may be running an errand and have the marks with it: who
// waits records one of his own then.
std::vector<StreamAllocator::State::Errand> StreamAllocator::State::begin_errands(bool wait) {
  std::vector<Errand> errands;
  for (uint32_t i = 0; i < arena.lanes(); ++i) {
    Lane& lane = arena.lane(i);
    const uint64_t at_hand = lane.open.empty() ? lane.ended : lane.open.back().number;
    const bool records = lane.wanted > (wait ? at_hand : lane.recorded);
    if (!records && lane.open.empty()) continue;
    errands.push_back({.lane = i,
                       .stream = lane.stream,
                       .record = records ? lane.next++ : 0,
                       .open = std::exchange(lane.open, {})});
  }
  return errands;
}

// Without the mutex. The first error stops it.
Result<void> StreamAllocator::State::run(Errand& errand, bool wait) {
  if (errand.record != 0) {
    SPILLWAY_ASSIGN(const Mark mark, source.record(errand.stream));
    errand.open.push_back({.number = errand.record, .mark = mark});
    errand.recorded = errand.record;
  }
  while (!errand.open.empty()) {
    const NumberedMark first = errand.open.front();
    if (wait) {
      SPILLWAY_TRY(source.wait(first.mark));
    } else {
      SPILLWAY_ASSIGN(const bool ended, source.ended(first.mark));
      if (!ended) return {};
    }
    errand.ended = std::max(errand.ended, first.number);
    errand.open.erase(errand.open.begin());
    source.drop(first.mark);
  }
  return {};
}

void StreamAllocator::State::end(std::vector<Errand> errands) {
  const std::lock_guard lock(mutex);
  for (Errand& errand : errands) {
    Lane& lane = arena.lane(errand.lane);
    lane.recorded = std::max(lane.recorded, errand.recorded);
    lane.ended = std::max(lane.ended, errand.ended);
    arena.statistics().events += errand.recorded != 0;
    lane.open.insert(lane.open.end(), errand.open.begin(), errand.open.end());
    std::sort(lane.open.begin(), lane.open.end(), [](const auto& a, const auto& b) {
      return a.number < b.number;  // two threads may have run errands for one lane
    });
  }
  arena.sweep();
  SPILLWAY_DCHECK(arena.valid());
}

// Waits for one stream after the other, and looks after each.
void* StreamAllocator::State::wait_and_take(uint32_t lane, size_t bytes) {
  std::vector<Errand> errands;
  {
    const std::lock_guard lock(mutex);
    arena.want_all(lane);
    errands = begin_errands(true);
    arena.statistics().waits += errands.size();
  }
  void* pointer = nullptr;
  for (Errand& errand : errands) {
    if (pointer == nullptr) (void)run(errand, true);  // a stream that fails keeps its blocks
    std::vector<Errand> one;
    one.push_back(std::move(errand));
    end(std::move(one));
    if (pointer != nullptr) continue;
    const std::lock_guard lock(mutex);
    arena.adopt(lane);
    if (const Block* block = arena.take_any(lane, bytes)) pointer = block->start;
  }
  return pointer;
}

Result<size_t> StreamAllocator::State::give_back_idle(uint32_t lane) {
  const std::lock_guard alone(shortage_);
  return give_back_idle_alone(lane);
}

Result<size_t> StreamAllocator::State::give_back_idle_alone(uint32_t lane) {
  constexpr uint32_t kNobody = ~uint32_t{0};
  std::vector<Errand> errands;
  {
    const std::lock_guard lock(mutex);
    if (arena.lanes() == 0) return 0;
    arena.want_all(kNobody);
    errands = begin_errands(true);
  }
  Result<void> waited;
  for (Errand& errand : errands) {
    if (auto done = run(errand, true); !done) waited = std::move(done);
  }
  end(std::move(errands));
  std::vector<Segment> extents;
  {
    const std::lock_guard lock(mutex);
    arena.adopt(lane);
    extents = arena.take_out_idle();
    SPILLWAY_DCHECK(arena.valid());
  }
  size_t bytes = 0;
  for (const Segment& extent : extents) {
    bytes += source.shrink(extent.start, extent.bytes);
  }
  if (bytes == 0 && !waited) return tl::make_unexpected(std::move(waited).error());
  return bytes;
}

bool StreamAllocator::State::wait_for_all_of(Stream stream) noexcept {
  return source.synchronise(stream).has_value();
}

}  // namespace spillway::memory
