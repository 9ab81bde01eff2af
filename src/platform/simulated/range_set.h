// A set of non-negative integers kept as disjoint ranges: which bytes are committed, or cached, in
// spaces far too large for a bit each. Value; thread-compatible.
#pragma once

#include <cstdint>
#include <map>

namespace spillway::platform {

class RangeSet {
 public:
  // [begin, end) is in the set from now on; returns how many were not.
  uint64_t insert(uint64_t begin, uint64_t end);
  // [begin, end) is not in the set from now on; returns how many were.
  uint64_t erase(uint64_t begin, uint64_t end);
  // How many of [begin, end) are in the set.
  uint64_t count(uint64_t begin, uint64_t end) const;
  uint64_t size() const { return size_; }

 private:
  std::map<uint64_t, uint64_t> ranges_;  // begin → end; disjoint, in order
  uint64_t size_ = 0;
};

}  // namespace spillway::platform
