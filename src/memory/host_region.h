// A region of the host and disk tiers: a range of addresses that never change, whose pages are in
// host memory or not (their bytes are then on disk, or nowhere yet). Host memory is taken only
// inside the region's reservation. Pins are promises that pages stay. Thread-compatible; pins may
// be dropped on any thread. Regions that a GPU reaches: spillway/memory/region.h.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::memory {

class HostRegion;

// A promise that [offset, offset + size) of a region stays where it is. Move-only value; must not
// outlive the HostRegion.
class HostPin {
 public:
  HostPin() = default;
  HostPin(HostPin&& other) noexcept;
  HostPin& operator=(HostPin&& other) noexcept;
  ~HostPin();
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  friend class HostRegion;
  HostPin(HostRegion* region, size_t first_page, size_t pages, std::span<std::byte> bytes);
  HostRegion* region_ = nullptr;
  size_t first_page_ = 0;
  size_t pages_ = 0;
  std::span<std::byte> bytes_;
};

class HostRegion {
 public:
  // Addresses for `size_bytes` (rounded up to pages), nothing resident. `holder` names it in
  // explain().
  static Result<std::unique_ptr<HostRegion>> create(platform::Platform& platform, Budget& budget,
                                                    Tag tag, std::string_view holder,
                                                    size_t size_bytes);
  ~HostRegion();
  HostRegion(const HostRegion&) = delete;
  HostRegion& operator=(const HostRegion&) = delete;

  size_t size_bytes() const;
  std::span<std::byte> bytes() const;  // readable and writable only where resident
  size_t resident_bytes() const;       // whole pages; what the budget is charged
  bool resident(size_t offset, size_t size) const;

  // Makes the pages of [offset, offset + size) resident; pages that were not read as zero. Charges
  // the budget first: kBudget leaves everything as it was.
  Result<void> make_resident(size_t offset, size_t size);
  // Gives the whole pages inside [offset, offset + size) back. kUsage if one of them is pinned.
  Result<void> evict(size_t offset, size_t size);
  // kUsage if a page is not resident.
  Result<HostPin> pin(size_t offset, size_t size);

 private:
  friend class HostPin;
  struct State;
  explicit HostRegion(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spillway::memory
