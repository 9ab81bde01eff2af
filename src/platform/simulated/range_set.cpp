#include "platform/simulated/range_set.h"

#include <algorithm>
#include <iterator>

namespace spillway::platform {

uint64_t RangeSet::insert(uint64_t begin, uint64_t end) {
  if (begin >= end) return 0;
  const uint64_t added = end - begin - erase(begin, end);
  auto next = ranges_.emplace(begin, end).first;
  size_ += end - begin;
  // Joined with its neighbours, the set stays as small as its gaps are few.
  const auto after = std::next(next);
  if (after != ranges_.end() && after->first == end) {
    next->second = after->second;
    ranges_.erase(after);
  }
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->second == begin) {
      before->second = next->second;
      ranges_.erase(next);
    }
  }
  return added;
}

uint64_t RangeSet::erase(uint64_t begin, uint64_t end) {
  if (begin >= end) return 0;
  uint64_t removed = 0;
  auto range = ranges_.upper_bound(begin);
  if (range != ranges_.begin()) --range;
  while (range != ranges_.end() && range->first < end) {
    const auto [range_begin, range_end] = *range;
    if (range_end <= begin) {
      ++range;
      continue;
    }
    range = ranges_.erase(range);
    if (range_begin < begin) ranges_.emplace(range_begin, begin);
    if (range_end > end) ranges_.emplace(end, range_end);
    removed += std::min(end, range_end) - std::max(begin, range_begin);
  }
  size_ -= removed;
  return removed;
}

uint64_t RangeSet::count(uint64_t begin, uint64_t end) const {
  uint64_t found = 0;
  auto range = ranges_.upper_bound(begin);
  if (range != ranges_.begin()) --range;
  for (; range != ranges_.end() && range->first < end; ++range) {
    const uint64_t from = std::max(begin, range->first);
    const uint64_t to = std::min(end, range->second);
    if (from < to) found += to - from;
  }
  return found;
}

}  // namespace spillway::platform
