// What an Arena says about itself: for people, and for tests.
#include <fmt/format.h>

#include <iterator>

#include "base/units.h"
#include "memory/stream_allocator/arena.h"

namespace spillway::memory {

std::string Arena::explain() const {
  struct Sums {
    size_t used = 0;
    size_t free = 0;
    size_t deferred = 0;
    size_t largest = 0;
  };
  std::vector<Sums> sums(lanes_.size());
  for (const auto& [start, begin] : begins_) {
    for (const Block* b = begin->after; b->state != BlockState::kFence; b = b->after) {
      Sums& of_lane = sums[b->lane];
      if (b->state == BlockState::kUsed) of_lane.used += b->bytes;
      if (b->state == BlockState::kDeferred) of_lane.deferred += b->bytes;
      if (b->state != BlockState::kFree) continue;
      of_lane.free += b->bytes;
      of_lane.largest = std::max(of_lane.largest, b->bytes);
    }
  }
  std::string text =
      fmt::format("the stream allocator holds {}: {} in use, {} at the most so far",
                  format_size(statistics_.held_bytes), format_size(statistics_.used_bytes),
                  format_size(statistics_.peak_used_bytes));
  for (size_t i = 0; i < sums.size(); ++i) {
    fmt::format_to(std::back_inserter(text),
                   "\n  stream {}: {} in use, {} free, at most {} of it in one piece, {} freed and "
                   "in use by other streams",
                   lanes_[i]->stream.native, format_size(sums[i].used), format_size(sums[i].free),
                   format_size(sums[i].largest), format_size(sums[i].deferred));
  }
  return text;
}

bool Arena::valid_chain(const Block& begin, std::vector<size_t>& free_blocks, size_t& deferred,
                        StreamAllocatorStatistics& sums) const {
  const std::byte* at = begin.start;
  const Block* before = &begin;
  for (const Block* b = begin.after; b->state != BlockState::kFence; before = b, b = b->after) {
    if (b->start != at || b->before != before || b->lane >= lanes_.size()) return false;
    if (b->bytes == 0 || b->bytes % kAlignment != 0) return false;
    at = b->end();
    if (b->state == BlockState::kUsed) {
      if (used_.find(b->start) != b) return false;
      if (b->shared != shared_.contains(const_cast<Block*>(b))) return false;
      sums.used_bytes += b->bytes;
      ++sums.used_blocks;
      continue;
    }
    if (b->shared) return false;
    if (b->stamp > lanes_[b->lane]->next) return false;
    if (b->state == BlockState::kDeferred) ++deferred;
    if (b->state == BlockState::kFree) ++free_blocks[b->lane];
    const bool mergeable = b->state == BlockState::kFree && before->state == BlockState::kFree &&
                           before->lane == b->lane;
    if (mergeable) return false;
  }
  const auto end = ends_.find(const_cast<std::byte*>(at));
  if (end == ends_.end() || end->second->before != before) return false;
  sums.held_bytes += static_cast<size_t>(at - begin.start);
  return at > begin.start;
}

bool Arena::valid() const {
  std::vector<size_t> free_blocks(lanes_.size());
  size_t deferred = 0;
  StreamAllocatorStatistics sums;
  for (const auto& [start, begin] : begins_) {
    if (begin->start != start || begin->state != BlockState::kFence) return false;
    if (!valid_chain(*begin, free_blocks, deferred, sums)) return false;
  }
  for (size_t i = 0; i < lanes_.size(); ++i) {
    size_t listed = 0;
    if (!lanes_[i]->free.valid(listed) || listed != free_blocks[i]) return false;
    if (lanes_[i]->recorded >= lanes_[i]->next || lanes_[i]->ended > lanes_[i]->recorded) {
      return false;
    }
  }
  return begins_.size() == ends_.size() && deferred == deferred_.size() &&
         sums.used_blocks == used_.size() && sums.used_bytes == statistics_.used_bytes &&
         sums.used_blocks == statistics_.used_blocks && sums.held_bytes == statistics_.held_bytes;
}

bool FreeLists::valid(size_t& blocks) const {
  for (unsigned first = 0; first < kFirst; ++first) {
    if ((second_[first] != 0) != ((first_ >> first & 1u) != 0)) return false;
    for (unsigned second = 0; second < kSecond; ++second) {
      const Block* const head = heads_[first][second];
      if ((head != nullptr) != ((second_[first] >> second & 1u) != 0)) return false;
      const Block* before = nullptr;
      for (const Block* b = head; b != nullptr; before = b, b = b->list_after, ++blocks) {
        const Class where = class_of(b->bytes);
        if (b->state != BlockState::kFree || b->list_before != before) return false;
        if (where.first != first || where.second != second) return false;
      }
    }
  }
  return true;
}

}  // namespace spillway::memory
