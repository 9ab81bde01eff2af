// A set of page numbers, kept as maximal runs: a region of 140 GB that is resident in three pieces
// costs three entries, not a bit for each page. Value; thread-compatible.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

namespace spillway::memory {

// Pages [first, end).
struct PageRun {
  size_t first = 0;
  size_t end = 0;

  size_t pages() const { return end - first; }
  bool overlaps(const PageRun& other) const { return first < other.end && other.first < end; }
  bool operator==(const PageRun&) const = default;
};

class PageSet {
 public:
  void insert(PageRun run);
  void erase(PageRun run);
  bool contains(PageRun run) const;
  size_t pages() const { return pages_; }

  std::vector<PageRun> inside(PageRun run) const;  // what of `run` is in the set, in order
  std::vector<PageRun> gaps(PageRun run) const;    // what of `run` is not
  bool valid() const;

 private:
  std::map<size_t, size_t> runs_;  // first → end; neither overlapping nor touching
  size_t pages_ = 0;
};

}  // namespace spillway::memory
