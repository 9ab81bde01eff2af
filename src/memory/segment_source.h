// Where a StreamAllocator has its memory from, and how it learns what streams have done: the border
// that its tests stand in for. Implementations are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "spillway/types.h"

namespace spillway::memory {

// A place in a stream. Copied freely; given back once, by drop().
struct Mark {
  uint64_t value = 0;
};

class SegmentSource {
 public:
  virtual ~SegmentSource() = default;

  // What grow() and shrink() count in; a multiple of kAlignment.
  virtual size_t granule_bytes() const = 0;
  // Whole granules, on an address that is a multiple of kAlignment; next to older ones or not.
  // kBudget: there is no room.
  virtual Result<std::byte*> grow(size_t bytes) = 0;
  // The same where the next best memory is, for who has no better; by default there is none.
  virtual Result<std::byte*> spill(size_t bytes);
  // Takes whole granules out of what grow() gave, in any pieces. Nothing uses them any more.
  // Returns how much of their memory is free for others.
  virtual size_t shrink(std::byte* start, size_t bytes) = 0;

  // Blocks until the stream has come to the end of what it has been given.
  virtual Result<void> synchronise(Stream stream) = 0;
  // Marks the end of what `stream` has been given by now.
  virtual Result<Mark> record(Stream stream) = 0;
  virtual Result<bool> ended(Mark mark) = 0;
  virtual Result<void> wait(Mark mark) = 0;  // blocks until it has ended
  virtual void drop(Mark mark) = 0;
};

}  // namespace spillway::memory
