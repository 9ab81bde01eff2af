// The ring through which bytes that do not stay pass on their way from disk to the processor. It
// knows the cyclic order in which ranges of a file are used and keeps every free slot filled ahead
// of use, across the end of the cycle too: decoding is a cyclic scan. One thread; reads go on by
// themselves between calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::memory {

// One entry of the cycle: bytes [offset, offset + size) of the file, any alignment.
struct StreamRange {
  uint64_t offset = 0;
  size_t size = 0;
};

struct StreamStatistics {
  uint64_t bytes_read = 0;  // from the file, padding included
  uint64_t bytes_used = 0;  // of ranges that were acquired
  uint64_t reads = 0;
  double wait_seconds = 0;  // spent blocked in acquire()
};

class StagingRing {
 public:
  struct Options {
    // Must hold the longest range with its padding (padded_bytes); rounded up to whole pages and
    // the file's memory alignment.
    size_t slot_bytes = 0;
    unsigned slots = 0;  // ≥ 2
    // Reads in flight at a time, at most; 0: as many as slots. With fewer, the others hold what is
    // used next: a disk that has read all it was asked for gets the next reads before those are
    // used.
    unsigned depth = 0;
  };

  // What the slots take together, and the ring charges: whole pages, and from the size of a huge
  // page on whole ones of those, for a device is slow to write to small ones.
  static uint64_t memory_bytes(const Options& options, const platform::FileInfo& file,
                               size_t page_bytes);

  // What a range takes in a slot once it is widened to the file's alignment.
  static size_t padded_bytes(const StreamRange& range, const platform::FileInfo& file);

  // Charges memory_bytes() to Tag::kStaging and starts reading. `cycle` is the order of use,
  // not empty. platform, budget and file outlive the ring. kBudget; kMachine; kBadFile: a range
  // lies past the file's end.
  static Result<std::unique_ptr<StagingRing>> create(platform::Platform& platform, Budget& budget,
                                                     const platform::File& file,
                                                     std::vector<StreamRange> cycle,
                                                     Options options);
  ~StagingRing();
  StagingRing(const StagingRing&) = delete;
  StagingRing& operator=(const StagingRing&) = delete;

  // Waits until entry `index` of the current turn is in its slot and returns its bytes, valid until
  // release(index). Entries may be acquired in any order and held together as long as the reads
  // ahead of them fit the slots: the ring reads in cycle order, so at most `slots` entries may lie
  // between the oldest unreleased and `index`. Acquiring an entry that is already held returns the
  // same bytes. kBadFile: the file got shorter; kMachine: disk. After an error it can be tried
  // again.
  Result<std::span<const std::byte>> acquire(size_t index);
  // Ends the use of entry `index` in this turn (acquired or not: an entry that is skipped is not
  // read, or its read is dropped). Its next acquire() is the next turn's. Its slot is refilled at
  // once; kMachine: that could not be started, and is tried again later. The use has ended all the
  // same.
  Result<void> release(size_t index);

  const StreamStatistics& statistics() const;
  std::string_view method() const;  // of the read queue

 private:
  struct State;
  explicit StagingRing(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spillway::memory
