// A piece of a StreamAllocator's memory, and the store that the descriptions of blocks live in:
// host memory, never the GPU's. Guarded by the allocator's mutex.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace spillway::memory {

enum class BlockState : uint8_t {
  kFence,    // no memory: the end of a chain of neighbours
  kUsed,     // allocated
  kFree,     // in its lane's lists
  kDeferred  // freed; other streams than its lane's may still use it
};

// One cache line. Neighbours by address form chains with a fence at both ends, so that each block
// has two neighbours.
struct Block {
  std::byte* start = nullptr;
  size_t bytes = 0;
  Block* before = nullptr;
  Block* after = nullptr;
  Block* list_before = nullptr;  // in a free list
  Block* list_after = nullptr;
  // Of a freed block: the lane's event with this number, or a later one, ends what the lane did
  // with it. 0: it was never used.
  uint64_t stamp = 0;
  uint32_t lane = 0;  // whose it is: allocated or freed there
  BlockState state = BlockState::kFence;
  bool shared = false;  // other streams use it too

  std::byte* end() const { return start + bytes; }
};
static_assert(sizeof(Block) == 64);

class BlockStore {
 public:
  Block* create() {
    if (spare_ == nullptr) add_chunk();
    Block* block = spare_;
    spare_ = block->list_after;
    *block = {};
    return block;
  }
  void destroy(Block* block) {
    block->list_after = spare_;
    spare_ = block;
  }

 private:
  using Chunk = std::array<Block, 256>;
  void add_chunk() {
    chunks_.push_back(std::make_unique<Chunk>());
    for (Block& block : *chunks_.back()) destroy(&block);
  }
  std::vector<std::unique_ptr<Chunk>> chunks_;
  Block* spare_ = nullptr;
};

}  // namespace spillway::memory
