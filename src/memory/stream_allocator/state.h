// What a StreamAllocator is made of: the arena under its mutex, and the source, whose calls are
// made without it.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "memory/stream_allocator/arena.h"

namespace spillway::memory {

struct StreamAllocator::State {
  State(SegmentSource& source_value, const StreamAllocatorOptions& options_value)
      : source(source_value), options(options_value), arena(source_value.granule_bytes()) {}

  // The lane has nothing free that was found at once.
  Result<void*> allocate_slowly(uint32_t lane, size_t bytes);
  // Gives granules that are free back, once every stream has done with them. What stays is the
  // lane's.
  Result<size_t> give_back_idle(uint32_t lane);
  // Blocks until the stream has come to the end of what it has been given; false: it cannot be
  // known.
  bool wait_for_all_of(Stream stream) noexcept;

  std::unique_ptr<SegmentSource> own_source;  // null: the source is another's
  SegmentSource& source;
  const StreamAllocatorOptions options;
  std::mutex mutex;
  Arena arena;

 private:
  // What is done for one lane while the mutex is free. It owns the marks meanwhile.
  struct Errand {
    uint32_t lane = 0;
    Stream stream;
    uint64_t record = 0;  // the number of the event to be recorded; 0: none
    std::vector<NumberedMark> open;
    uint64_t recorded = 0;
    uint64_t ended = 0;
  };

  // Held by a thread that is short of memory, across its calls of the source: others that are short
  // wait for what it gives back, instead of failing meanwhile. Taken before `mutex`; nobody who has
  // found a block waits for it.
  std::mutex shortage_;

  Result<void*> allocate_in_shortage(uint32_t lane, size_t bytes);
  Result<size_t> give_back_idle_alone(uint32_t lane);
  uint64_t count_frees();
  void* take_any(uint32_t lane, size_t bytes);
  Result<void*> grow(uint32_t lane, size_t bytes);
  Result<void*> spill(uint32_t lane, size_t bytes);
  // What the source gave becomes the lane's, and a block of it the caller's.
  void* add(Segment segment, uint32_t lane, size_t bytes);
  void look_at_events(uint32_t lane, size_t bytes);
  std::vector<Errand> begin_errands(bool wait);
  Result<void> run(Errand& errand, bool wait);
  void end(std::vector<Errand> errands);
  void* wait_and_take(uint32_t lane, size_t bytes);
};

}  // namespace spillway::memory
