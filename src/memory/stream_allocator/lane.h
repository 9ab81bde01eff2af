// A stream as a StreamAllocator knows it: the blocks that were freed on it, and how far it has
// come.
//
// Events are numbered in each lane. A block that is freed is stamped with the number of the lane's
// next event: one that is recorded later, so that its end is the end of whatever the stream did
// with the block. The event is recorded only when somebody wants to know. Guarded by the
// allocator's mutex.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "memory/segment_source.h"
#include "memory/stream_allocator/free_lists.h"

namespace spillway::memory {

struct NumberedMark {
  uint64_t number = 0;
  Mark mark;
};

struct Lane {
  explicit Lane(Stream stream_value) : stream(stream_value) {}

  const Stream stream;
  FreeLists free;
  uint64_t next = 1;               // the number of the next event
  uint64_t recorded = 0;           // the highest that was recorded
  uint64_t ended = 0;              // the highest that is known to have ended
  uint64_t wanted = 0;             // the highest stamp that somebody waits for
  std::vector<NumberedMark> open;  // recorded, and not known to have ended; by number

  bool done_with(uint64_t stamp) const { return stamp <= ended; }
  void want(uint64_t stamp) { wanted = std::max(wanted, stamp); }
};

// A lane's stamp on a block that other streams use, or have used.
struct Use {
  uint32_t lane = 0;
  uint64_t stamp = 0;  // set when the block is freed
};

}  // namespace spillway::memory
