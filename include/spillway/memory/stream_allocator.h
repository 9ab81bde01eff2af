// A caching suballocator in stream order. A block that is freed on a stream is there at once for
// that stream, without a call of the driver; for another stream once the events of every stream
// that touched it have ended. Sizes are exact to 256 bytes. Its tables lie in host memory.
// Thread-safe: blocks may be freed by any thread and on any stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "spillway/memory/budget.h"
#include "spillway/memory/resource.h"

namespace spillway::memory {

class Pool;
class SegmentSource;

struct StreamAllocatorOptions {
  // Taken from the source at once, where a request is smaller and the source has as much.
  size_t segment_bytes = size_t{32} << 20;
  // Whom a pool's memory is charged to.
  Tag tag = Tag::kOther;
  std::string name = "stream allocator";
  // Where HBM has no room left: host memory, which kernels read and write over the link, instead of
  // an error. Of a pool that mixes tiers.
  bool spills = false;
};

struct StreamAllocatorStatistics {
  uint64_t hits = 0;    // allocations out of what the stream had free: no call of the driver
  uint64_t misses = 0;  // those that asked other streams or the source; failed ones included
  uint64_t failures = 0;
  uint64_t taken_over = 0;  // of the misses: blocks that other streams had freed
  uint64_t waits = 0;       // for events, since nothing else was left
  uint64_t events = 0;      // recorded
  uint64_t splits = 0;
  uint64_t merges = 0;
  uint64_t unknown_frees = 0;  // of pointers that are not allocated; ignored
  uint64_t used_blocks = 0;    // allocated now
  uint64_t used_bytes = 0;     // of them, in units of 256
  uint64_t peak_used_bytes = 0;
  uint64_t cached_bytes = 0;   // free, or freed and not yet safe to use
  uint64_t held_bytes = 0;     // from the source: used and cached
  uint64_t spilled_bytes = 0;  // taken from the source in host memory, since the start
  uint64_t peak_held_bytes = 0;
};

class StreamAllocator {
 public:
  // In the pool's HBM, charged for what it holds; the pool outlives it. kMachine; kUsage: it is to
  // spill and the pool does not mix tiers.
  static Result<std::unique_ptr<StreamAllocator>> create(Pool& pool,
                                                         const StreamAllocatorOptions& options);
  // The source outlives it.
  static std::unique_ptr<StreamAllocator> create(SegmentSource& source,
                                                 const StreamAllocatorOptions& options);
  // Gives all memory back, blocks that are still allocated too: no stream uses them any more.
  ~StreamAllocator();
  StreamAllocator(const StreamAllocator&) = delete;
  StreamAllocator& operator=(const StreamAllocator&) = delete;

  // kUsage: the alignment; CUDA's per-thread default stream, which is another for each thread:
  // name the stream. kBudget: there is no room; the message says who holds what. kMachine.
  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment);
  // The size is known: it need not be right. Makes no call of the driver, except for the per-thread
  // default stream, which is waited for.
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) noexcept;
  // Work in `stream` uses the block as well, until the block is freed. kUsage: it is not allocated;
  // the per-thread default stream.
  Result<void> record_use(void* pointer, Stream stream);

  // Waits until the streams have done with what they freed, and gives whole granules that are free
  // back. Returns the bytes.
  Result<size_t> trim();

  StreamAllocatorStatistics statistics() const;
  // What each stream has in use, free and not yet safe, for people.
  std::string explain() const;
  // Whether all tables agree: for tests. Walks through every block.
  bool valid() const;

 private:
  struct State;
  explicit StreamAllocator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};
static_assert(Resource<StreamAllocator>);

}  // namespace spillway::memory
