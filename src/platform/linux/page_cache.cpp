#include "platform/linux/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/units.h"

namespace spillway::platform {
namespace {

constexpr uint64_t kProbeBytes = 1 * kGiB;  // of one mincore call

// The structures of cachestat (Linux 6.5), which Debian 12's headers do not have.
struct CachestatRange {
  uint64_t offset;
  uint64_t length;
};
struct Cachestat {
  uint64_t cached_pages;
  uint64_t dirty_pages;
  uint64_t writeback_pages;
  uint64_t evicted_pages;
  uint64_t recently_evicted_pages;
};
constexpr long kCachestat = 451;  // the same number on every architecture

uint64_t page_size() {
  return static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// To who neither owns a file nor may write it, mincore says that every page is resident.
bool mincore_tells_the_truth(int descriptor) {
  struct stat status {};
  if (geteuid() == 0) return true;
  if (fstat(descriptor, &status) != 0) return false;
  if (status.st_uid == geteuid()) return true;
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  return faccessat(AT_FDCWD, link.c_str(), W_OK, AT_EACCESS) == 0;
}

// One byte per page of [offset, offset + size), offset on a page; all 0 where it is not known.
std::vector<unsigned char> residency_of(int descriptor, uint64_t offset, uint64_t size) {
  std::vector<unsigned char> residency((size + page_size() - 1) / page_size(), 0);
  if (size == 0 || !mincore_tells_the_truth(descriptor)) return residency;
  // The mapping is never touched: a file that gets shorter meanwhile cannot hurt.
  void* mapping =
      mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, static_cast<off_t>(offset));
  if (mapping == MAP_FAILED) return residency;
  if (mincore(mapping, size, residency.data()) != 0) {
    std::fill(residency.begin(), residency.end(), static_cast<unsigned char>(0));
  }
  munmap(mapping, size);
  return residency;
}

bool cached(unsigned char residency) {
  return (residency & 1U) != 0;
}

}  // namespace

uint64_t cached_bytes_of(int descriptor, uint64_t size_bytes) {
  if (size_bytes == 0) return 0;
  CachestatRange range{.offset = 0, .length = size_bytes};
  Cachestat counts{};
  if (syscall(kCachestat, descriptor, &range, &counts, 0) == 0) {
    return std::min(size_bytes, counts.cached_pages * page_size());
  }
  uint64_t pages = 0;
  for (uint64_t offset = 0; offset < size_bytes; offset += kProbeBytes) {
    const auto residency =
        residency_of(descriptor, offset, std::min(kProbeBytes, size_bytes - offset));
    pages += static_cast<uint64_t>(std::count_if(residency.begin(), residency.end(), cached));
  }
  return std::min(size_bytes, pages * page_size());
}

CacheGuard::CacheGuard(int descriptor, uint64_t offset, uint64_t size)
    : descriptor_(descriptor), first_page_(offset / page_size()) {
  const uint64_t begin = first_page_ * page_size();
  residency_ = residency_of(descriptor, begin, offset + size - begin);
}

void CacheGuard::forget_new_pages() const {
  const auto begin = residency_.begin();
  for (auto first = begin; first != residency_.end();) {
    first = std::find_if_not(first, residency_.end(), cached);
    const auto last = std::find_if(first, residency_.end(), cached);
    if (first == last) break;
    const uint64_t page = first_page_ + static_cast<uint64_t>(first - begin);
    posix_fadvise(descriptor_, static_cast<off_t>(page * page_size()),
                  static_cast<off_t>(static_cast<uint64_t>(last - first) * page_size()),
                  POSIX_FADV_DONTNEED);
    first = last;
  }
}

}  // namespace spillway::platform
