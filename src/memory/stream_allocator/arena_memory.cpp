// How memory of the source comes into an Arena and goes out of it.
#include <cstdint>

#include "memory/stream_allocator/arena.h"

namespace spillway::memory {

Block* Arena::make_fence(std::byte* at) {
  Block* const fence = store_.create();
  fence->start = at;
  return fence;
}

void Arena::add(const Segment& extent, uint32_t lane) {
  Block& block = *store_.create();
  block.start = extent.start;
  block.bytes = extent.bytes;
  block.lane = lane;
  Block* left = nullptr;
  Block* right = nullptr;
  if (const auto end = ends_.find(extent.start); end != ends_.end()) {  // goes on where one ends
    left = end->second->before;
    store_.destroy(end->second);
    ends_.erase(end);
  } else {
    left = begins_[extent.start] = make_fence(extent.start);
  }
  if (const auto begin = begins_.find(block.end()); begin != begins_.end()) {
    right = begin->second->after;
    store_.destroy(begin->second);
    begins_.erase(begin);
  } else {
    right = ends_[block.end()] = make_fence(block.end());
  }
  link(*left, block);
  link(block, *right);
  release(block);
  statistics_.held_bytes += extent.bytes;
  if (statistics_.held_bytes > statistics_.peak_held_bytes) {
    statistics_.peak_held_bytes = statistics_.held_bytes;
  }
}

// A free block loses what lies in the middle of it, and the chain becomes two.
void Arena::cut(Block& block, const Segment& extent) {
  FreeLists& lists = lanes_[block.lane]->free;
  std::byte* const end = extent.start + extent.bytes;
  lists.remove(block);
  Block* left = block.before;
  Block* right = block.after;
  if (end < block.end()) {
    Block& rest = *store_.create();
    rest.start = end;
    rest.bytes = static_cast<size_t>(block.end() - end);
    rest.lane = block.lane;
    rest.stamp = block.stamp;
    rest.state = BlockState::kFree;
    lists.insert(rest);
    link(rest, *right);
    right = &rest;
  }
  if (block.start < extent.start) {
    block.bytes = static_cast<size_t>(extent.start - block.start);
    lists.insert(block);
    left = &block;
  } else {
    store_.destroy(&block);
  }
  if (left->state == BlockState::kFence) {  // nothing is left of the chain
    begins_.erase(left->start);
    store_.destroy(left);
  } else {
    link(*left, *(ends_[extent.start] = make_fence(extent.start)));
  }
  if (right->state == BlockState::kFence) {
    ends_.erase(right->start);
    store_.destroy(right);
  } else {
    link(*(begins_[end] = make_fence(end)), *right);
  }
  statistics_.held_bytes -= extent.bytes;
}

// A chain begins with a granule. False: it has none to give.
bool Arena::take_out_first_idle(Block& begin, std::vector<Segment>& out) {
  std::byte* const origin = begin.start;
  for (Block* b = begin.after; b->state != BlockState::kFence; b = b->after) {
    if (b->state != BlockState::kFree || !lanes_[b->lane]->done_with(b->stamp)) continue;
    const auto first = static_cast<size_t>(b->start - origin) + granule_bytes_ - 1;
    const size_t from = first / granule_bytes_ * granule_bytes_;
    const size_t to = static_cast<size_t>(b->end() - origin) / granule_bytes_ * granule_bytes_;
    if (from >= to) continue;
    const Segment extent{.start = origin + from, .bytes = to - from};
    cut(*b, extent);
    out.push_back(extent);
    return true;
  }
  return false;
}

std::vector<Segment> Arena::take_out_idle() {
  std::vector<Segment> out;
  for (auto at = begins_.begin(); at != begins_.end();) {
    std::byte* const start = at->first;
    Block& begin = *at->second;
    // A cut changes the map, and puts what is left of the chain behind `start`.
    at = take_out_first_idle(begin, out) ? begins_.upper_bound(start) : std::next(at);
  }
  return out;
}

std::vector<Segment> Arena::take_out_all() const {
  std::vector<Segment> out;
  auto end = ends_.begin();
  for (const auto& [start, begin] : begins_) {
    out.push_back({.start = start, .bytes = static_cast<size_t>(end->first - start)});
    ++end;
  }
  return out;
}

}  // namespace spillway::memory
