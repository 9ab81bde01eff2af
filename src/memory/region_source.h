// Memory for a StreamAllocator out of a pool: one region, larger than anybody will need, whose
// extents are made in HBM, or in host memory, when the allocator grows, and forgotten when it
// shrinks. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "memory/events.h"
#include "memory/page_set.h"
#include "memory/segment_source.h"
#include "platform/gpu.h"
#include "spillway/memory/pool.h"
#include "spillway/memory/stream_allocator.h"

namespace spillway::memory {

class RegionSource : public SegmentSource {
 public:
  // kMachine: the driver has no addresses left.
  static Result<std::unique_ptr<RegionSource>> create(Pool& pool,
                                                      const StreamAllocatorOptions& options);

  size_t granule_bytes() const override;
  Result<std::byte*> grow(size_t bytes) override { return grow(bytes, Tier::kHbm); }
  Result<std::byte*> spill(size_t bytes) override;
  size_t shrink(std::byte* start, size_t bytes) override;
  Result<void> synchronise(Stream stream) override { return pool_.gpu().synchronise(stream); }
  Result<Mark> record(Stream stream) override;
  Result<bool> ended(Mark mark) override;
  Result<void> wait(Mark mark) override;
  void drop(Mark mark) override;

 private:
  RegionSource(Pool& pool, std::unique_ptr<Region> region, bool spills);
  Result<std::byte*> grow(size_t bytes, Tier tier);
  Result<size_t> take_range(size_t extents);
  platform::EventId event_of(Mark mark);

  Pool& pool_;
  const std::unique_ptr<Region> region_;
  const bool spills_;
  EventPool events_;
  std::mutex mutex_;
  PageSet free_;  // numbers of extents
  std::map<uint64_t, SharedEvent> marks_;
  uint64_t next_mark_ = 1;
};

}  // namespace spillway::memory
