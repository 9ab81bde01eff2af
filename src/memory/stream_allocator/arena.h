// The blocks of a StreamAllocator and whose they are: everything that it knows, nothing that it
// does outside. Makes no calls of the source. Guarded by the allocator's mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "memory/stream_allocator/block.h"
#include "memory/stream_allocator/block_table.h"
#include "memory/stream_allocator/lane.h"
#include "spillway/memory/stream_allocator.h"

namespace spillway::memory {

// Whole granules.
struct Segment {
  std::byte* start = nullptr;
  size_t bytes = 0;
};

class Arena {
 public:
  explicit Arena(size_t granule_bytes) : granule_bytes_(granule_bytes) {}

  uint32_t lane_of(Stream stream);
  Lane& lane(uint32_t index) { return *lanes_[index]; }
  uint32_t lanes() const { return static_cast<uint32_t>(lanes_.size()); }

  // Allocates out of what the lane has free, in constant time. Sizes are multiples of kAlignment.
  Block* take(uint32_t lane, size_t bytes);
  // Looks through all free blocks that are safe for the lane: its own, and those of others that
  // have ended.
  Block* take_any(uint32_t lane, size_t bytes);
  void free(void* pointer, uint32_t lane);
  // The lane that allocated it; any where nothing is allocated there.
  uint32_t owner_of(const void* pointer) const {
    const Block* const block = used_.find(pointer);
    return block == nullptr ? 0 : block->lane;
  }
  // False: nothing is allocated there.
  bool record_use(void* pointer, uint32_t lane);

  // Other lanes have a free block of that size: asks for the ends of their use of it.
  void want_others(uint32_t lane, size_t bytes);
  // Events have ended: frees the deferred blocks that are safe by now.
  void sweep();
  // Asks for the ends of all freed blocks; those of `except` are left out, being safe for it.
  void want_all(uint32_t except);
  // Moves the free blocks of other lanes that have ended to the lane, so that they can merge.
  void adopt(uint32_t lane);

  // Granules from the source: free for the lane.
  void add(const Segment& extent, uint32_t lane);
  // Takes out whole granules that are free and that no lane uses any more.
  std::vector<Segment> take_out_idle();
  std::vector<Segment> take_out_all() const;

  uint64_t frees() const { return frees_; }  // so far
  StreamAllocatorStatistics& statistics() { return statistics_; }
  const StreamAllocatorStatistics& statistics() const { return statistics_; }
  std::string explain() const;
  bool valid() const;

 private:
  struct Deferred {
    Block* block = nullptr;
    std::vector<Use> uses = {};
  };

  Block* use(Block& block, uint32_t lane, size_t bytes);
  void defer(Block& block, uint32_t lane);
  Block* release(Block& block);
  Block* absorb(Block& left, Block& right);
  bool safe_for(const Block& block, uint32_t lane) const {
    return block.lane == lane || lanes_[block.lane]->done_with(block.stamp);
  }
  void cut(Block& block, const Segment& extent);
  bool take_out_first_idle(Block& begin, std::vector<Segment>& out);
  Block* make_fence(std::byte* at);
  bool valid_chain(const Block& begin, std::vector<size_t>& free_blocks, size_t& deferred,
                   StreamAllocatorStatistics& sums) const;
  static void link(Block& left, Block& right) {
    left.after = &right;
    right.before = &left;
  }
  void count_used(const Block& block) {
    statistics_.used_bytes += block.bytes;
    ++statistics_.used_blocks;
    if (statistics_.used_bytes > statistics_.peak_used_bytes) {
      statistics_.peak_used_bytes = statistics_.used_bytes;
    }
  }

  const size_t granule_bytes_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unordered_map<void*, uint32_t> lane_numbers_;
  uint32_t last_lane_ = 0;  // the one that was asked for last
  BlockStore store_;
  BlockTable used_;
  std::map<std::byte*, Block*> begins_;  // the fences before chains, by where the chain begins
  std::map<std::byte*, Block*> ends_;    // the fences behind chains, by where the chain ends
  std::unordered_map<Block*, std::vector<uint32_t>> shared_;  // lanes that use used blocks, too
  std::vector<Deferred> deferred_;
  uint64_t frees_ = 0;
  StreamAllocatorStatistics statistics_;
};

}  // namespace spillway::memory
