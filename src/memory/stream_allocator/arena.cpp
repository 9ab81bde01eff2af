#include "memory/stream_allocator/arena.h"

#include <algorithm>
#include <utility>

namespace spillway::memory {

uint32_t Arena::lane_of(Stream stream) {
  if (last_lane_ < lanes_.size() && lanes_[last_lane_]->stream == stream) return last_lane_;
  const auto [found, inserted] = lane_numbers_.try_emplace(stream.native, lanes());
  if (inserted) lanes_.push_back(std::make_unique<Lane>(stream));
  return last_lane_ = found->second;
}

Block* Arena::take(uint32_t lane, size_t bytes) {
  Block* const block = lanes_[lane]->free.find(bytes);
  return block == nullptr ? nullptr : use(*block, lane, bytes);
}

Block* Arena::take_any(uint32_t lane, size_t bytes) {
  const auto any = [](const Block&) { return true; };
  if (Block* block = lanes_[lane]->free.find_slowly(bytes, any)) return use(*block, lane, bytes);
  for (uint32_t other = 0; other < lanes(); ++other) {
    if (other == lane) continue;
    const auto ended = [&](const Block& block) { return safe_for(block, lane); };
    if (Block* block = lanes_[other]->free.find_slowly(bytes, ended)) {
      ++statistics_.taken_over;
      return use(*block, lane, bytes);
    }
  }
  return nullptr;
}

// Takes `bytes` off the front; what is left stays with the lane that it belonged to.
Block* Arena::use(Block& block, uint32_t lane, size_t bytes) {
  FreeLists& lists = lanes_[block.lane]->free;
  lists.remove(block);
  if (block.bytes > bytes) {
    Block& rest = *store_.create();
    rest.start = block.start + bytes;
    rest.bytes = block.bytes - bytes;
    rest.lane = block.lane;
    rest.stamp = block.stamp;
    rest.state = BlockState::kFree;
    link(rest, *block.after);
    link(block, rest);
    block.bytes = bytes;
    lists.insert(rest);
    ++statistics_.splits;
  }
  block.state = BlockState::kUsed;
  block.lane = lane;
  used_.insert(block);
  count_used(block);
  return &block;
}

void Arena::free(void* pointer, uint32_t lane) {
  Block* const block = used_.take(pointer);
  if (block == nullptr) {
    ++statistics_.unknown_frees;
    return;
  }
  statistics_.used_bytes -= block->bytes;
  --statistics_.used_blocks;
  ++frees_;
  const bool alone = block->lane == lane && !block->shared;
  block->stamp = lanes_[lane]->next;
  if (alone) {
    release(*block);
  } else {
    defer(*block, lane);
  }
}

// Other lanes than the one it is freed on use it: it is that lane's when all of them have ended.
void Arena::defer(Block& block, uint32_t lane) {
  std::vector<uint32_t> users;
  if (block.shared) users = std::move(shared_.extract(&block).mapped());
  if (std::find(users.begin(), users.end(), block.lane) == users.end()) users.push_back(block.lane);
  block.state = BlockState::kDeferred;
  block.lane = lane;
  block.shared = false;
  Deferred deferred{.block = &block};
  for (uint32_t user : users) {
    if (user == lane) continue;  // in order with what the lane does next
    deferred.uses.push_back({.lane = user, .stamp = lanes_[user]->next});
    lanes_[user]->want(lanes_[user]->next);
  }
  deferred_.push_back(std::move(deferred));
}

bool Arena::record_use(void* pointer, uint32_t lane) {
  Block* const block = used_.find(pointer);
  if (block == nullptr) return false;
  if (block->lane == lane) return true;
  std::vector<uint32_t>& users = shared_[block];
  block->shared = true;
  if (std::find(users.begin(), users.end(), lane) == users.end()) users.push_back(lane);
  return true;
}

// Into its lane's lists, with the neighbours that are there already.
Block* Arena::release(Block& block) {
  block.state = BlockState::kFree;
  Block* merged = &block;
  for (Block* neighbour : {block.before, block.after}) {
    if (neighbour->state != BlockState::kFree || neighbour->lane != merged->lane) continue;
    lanes_[neighbour->lane]->free.remove(*neighbour);
    const bool left = neighbour->start < merged->start;
    merged = left ? absorb(*neighbour, *merged) : absorb(*merged, *neighbour);
  }
  lanes_[merged->lane]->free.insert(*merged);
  return merged;
}

// Two free blocks that are in no list. One lane: the later of its stamps is the end of both.
Block* Arena::absorb(Block& left, Block& right) {
  left.bytes += right.bytes;
  left.stamp = std::max(left.stamp, right.stamp);
  link(left, *right.after);
  store_.destroy(&right);
  ++statistics_.merges;
  return &left;
}

void Arena::want_others(uint32_t lane, size_t bytes) {
  for (uint32_t other = 0; other < lanes(); ++other) {
    if (other == lane) continue;
    const auto any = [](const Block&) { return true; };
    if (const Block* block = lanes_[other]->free.find_slowly(bytes, any)) {
      lanes_[other]->want(block->stamp);
    }
  }
}

void Arena::sweep() {
  const auto safe = [this](const Deferred& deferred) {
    return std::all_of(deferred.uses.begin(), deferred.uses.end(),
                       [this](const Use& use) { return lanes_[use.lane]->done_with(use.stamp); });
  };
  std::erase_if(deferred_, [&](const Deferred& deferred) {
    if (!safe(deferred)) return false;
    release(*deferred.block);
    return true;
  });
}

void Arena::want_all(uint32_t except) {
  for (const auto& [start, begin] : begins_) {
    for (const Block* b = begin->after; b->state != BlockState::kFence; b = b->after) {
      if (b->state != BlockState::kUsed && b->lane != except) lanes_[b->lane]->want(b->stamp);
    }
  }
}

void Arena::adopt(uint32_t lane) {
  for (const auto& [start, begin] : begins_) {
    for (Block* b = begin->after; b->state != BlockState::kFence; b = b->after) {
      if (b->state != BlockState::kFree || b->lane == lane || !safe_for(*b, lane)) continue;
      lanes_[b->lane]->free.remove(*b);
      b->lane = lane;
      b->stamp = 0;  // nobody uses it any more; numbers are each lane's own
      b = release(*b);
    }
  }
}

}  // namespace spillway::memory
