// What of a file lies in the page cache. Any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace spillway::platform {

// Bytes of the first `size_bytes` that are cached; 0 where the system does not tell.
uint64_t cached_bytes_of(int descriptor, uint64_t size_bytes);

// Keeps a buffered read from leaving pages in the cache: made before the read, it notes which pages
// of [offset, offset + size) are cached already; forget_new_pages() after it drops the others.
class CacheGuard {
 public:
  CacheGuard(int descriptor, uint64_t offset, uint64_t size);
  void forget_new_pages() const;

 private:
  int descriptor_;
  uint64_t first_page_;
  std::vector<unsigned char> residency_;  // of each page; bit 0: it was cached
};

}  // namespace spillway::platform
