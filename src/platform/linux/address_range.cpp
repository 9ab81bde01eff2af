#include "platform/linux/address_range.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/check.h"
#include "base/units.h"
#include "platform/linux/error_text.h"

namespace spillway::platform {
namespace {

class MappedAddresses : public AddressRange {
 public:
  // `mapping` is what munmap gets; `range`, inside it, is what we hand out.
  MappedAddresses(std::span<std::byte> mapping, std::span<std::byte> range, size_t page_bytes)
      : mapping_(mapping), range_(range), page_bytes_(page_bytes) {}
  ~MappedAddresses() override {
    if (!mapping_.empty()) munmap(mapping_.data(), mapping_.size());
  }
  MappedAddresses(const MappedAddresses&) = delete;
  MappedAddresses& operator=(const MappedAddresses&) = delete;

  std::span<std::byte> bytes() const override { return range_; }

  Result<void> commit(size_t offset, size_t size) override {
    check_pages(offset, size);
    if (size == 0) return {};
    if (mprotect(range_.data() + offset, size, PROT_READ | PROT_WRITE) != 0) {
      return fail(ErrorCode::kMachine, "the system gives no more host memory: {} asked for: {}",
                  format_size(size), error_text(errno));
    }
    return {};
  }

  void prefer_huge_pages() override {
    if (!range_.empty()) madvise(range_.data(), range_.size(), MADV_HUGEPAGE);
  }

  Result<void> decommit(size_t offset, size_t size) override {
    check_pages(offset, size);
    if (size == 0) return {};
    std::byte* start = range_.data() + offset;
    // The pages go first: if the change of protection fails (too many mappings), the memory is back
    // with the machine all the same.
    if (madvise(start, size, MADV_DONTNEED) != 0 || mprotect(start, size, PROT_NONE) != 0) {
      return fail(ErrorCode::kMachine, "cannot give {} of host memory back to the system: {}",
                  format_size(size), error_text(errno));
    }
    return {};
  }

 private:
  void check_pages(size_t offset, size_t size) const {
    SPILLWAY_CHECK(offset % page_bytes_ == 0 && size % page_bytes_ == 0);
    SPILLWAY_CHECK(offset <= range_.size() && size <= range_.size() - offset);
  }

  std::span<std::byte> mapping_;
  std::span<std::byte> range_;
  size_t page_bytes_;
};

}  // namespace

Result<std::unique_ptr<AddressRange>> reserve_addresses(size_t bytes, size_t page_bytes) {
  if (bytes == 0)
    return std::make_unique<MappedAddresses>(std::span<std::byte>{}, std::span<std::byte>{},
                                             page_bytes);
  if (bytes > std::numeric_limits<size_t>::max() - 2 * std::max(page_bytes, kHugePageBytes)) {
    return fail(ErrorCode::kMachine, "cannot reserve {} of addresses: there are not that many",
                format_size(bytes));
  }
  const size_t size = round_up(bytes, page_bytes);
  // mmap aligns to the system's pages only: ask for more, to start at a multiple of ours, and where
  // huge pages can be, of theirs.
  const size_t alignment =
      size < kHugePageBytes ? page_bytes : std::max(page_bytes, kHugePageBytes);
  const size_t mapping_size = size + alignment;
  void* mapping =
      mmap(nullptr, mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return fail(ErrorCode::kMachine, "cannot reserve {} of addresses: {}", format_size(size),
                error_text(errno));
  }
  auto* first = static_cast<std::byte*>(mapping);
  const auto address = reinterpret_cast<uintptr_t>(first);
  std::byte* start = first + (round_up(address, alignment) - address);
  return std::make_unique<MappedAddresses>(std::span(first, mapping_size), std::span(start, size),
                                           page_bytes);
}

}  // namespace spillway::platform
