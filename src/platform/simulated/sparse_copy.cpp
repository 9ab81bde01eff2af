#include "platform/simulated/sparse_copy.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/units.h"

namespace spillway::platform {
namespace {

// The first offset in [from, end) of data or of a hole, as `what` says; end: there is none.
uint64_t find(int file, int what, uint64_t from, uint64_t end) {
  if (from == end) return end;
  const off_t found = lseek(file, static_cast<off_t>(from), what);
  SPILLWAY_CHECK(found >= 0 || errno == ENXIO);  // ENXIO: no data up to the file's end
  return found < 0 ? end : std::min(static_cast<uint64_t>(found), end);
}

// Calls on_data(begin, end) for each stretch of data in `bytes` bytes of the file, from the first
// one; places are relative to `offset`.
template <typename OnData>
void for_each_data(int file, uint64_t offset, size_t bytes, OnData on_data) {
  const uint64_t end = offset + bytes;
  for (uint64_t begin = find(file, SEEK_DATA, offset, end); begin < end;) {
    const uint64_t data_end = find(file, SEEK_HOLE, begin, end);
    on_data(begin - offset, data_end - offset);
    begin = find(file, SEEK_DATA, data_end, end);
  }
}

}  // namespace

void clear_sparse(int file, std::byte* at, uint64_t offset, size_t bytes) {
  static const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for_each_data(file, offset, bytes, [&](uint64_t begin, uint64_t end) {
    const uint64_t size = end - begin;
    const uint64_t to_page = round_up(offset + begin, page_bytes) - (offset + begin);
    const uint64_t head = std::min(to_page, size);
    const uint64_t pages = round_down(size - head, page_bytes);
    std::byte* const data = at + begin;
    std::memset(data, 0, head);
    if (pages > 0) SPILLWAY_CHECK(madvise(data + head, pages, MADV_REMOVE) == 0);
    std::memset(data + head + pages, 0, size - head - pages);
  });
}

void copy_sparse(const SparseCopy& copy) {
  uint64_t done = 0;
  const auto clear_up_to = [&](uint64_t end) {
    clear_sparse(copy.file, copy.to + done, copy.to_offset + done, end - done);
  };
  for_each_data(copy.file, copy.from_offset, copy.bytes, [&](uint64_t begin, uint64_t end) {
    clear_up_to(begin);
    std::memcpy(copy.to + begin, copy.from + begin, end - begin);
    done = end;
  });
  clear_up_to(copy.bytes);
}

}  // namespace spillway::platform
