#include "memory/host_region.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "memory/page_set.h"

namespace spillway::memory {

struct HostRegion::State {
  std::string name;
  size_t page_bytes = 0;
  Reservation reservation;  // = resident pages; outlives `range`, which holds what it pays for
  std::unique_ptr<platform::AddressRange> range;
  PageSet resident;
  std::mutex pins_mutex;  // pins are dropped on any thread
  std::vector<PageRun> pins;

  size_t size_bytes() const { return range->bytes().size(); }
  Result<void> check_bounds(size_t offset, size_t size) const;
  // The pages that [offset, offset + size) touches; none if it is empty.
  PageRun around(size_t offset, size_t size) const;
  bool pinned(PageRun run);
  Result<void> commit(const std::vector<PageRun>& runs);
  Result<void> decommit(PageRun run);
  bool valid() const {
    return resident.valid() && reservation.bytes() == resident.pages() * page_bytes;
  }
};

Result<void> HostRegion::State::check_bounds(size_t offset, size_t size) const {
  if (offset <= size_bytes() && size <= size_bytes() - offset) return {};
  return fail(ErrorCode::kUsage, "{}: {} bytes at offset {} lie past the region's end at {}", name,
              size, offset, size_bytes());
}

PageRun HostRegion::State::around(size_t offset, size_t size) const {
  if (size == 0) return {offset / page_bytes, offset / page_bytes};
  return {offset / page_bytes, round_up(offset + size, page_bytes) / page_bytes};
}

bool HostRegion::State::pinned(PageRun run) {
  const std::lock_guard lock(pins_mutex);
  return std::any_of(pins.begin(), pins.end(),
                     [&](const PageRun& pin) { return pin.overlaps(run); });
}

// The charge for `runs` is already in the reservation; what could not be committed is given back.
Result<void> HostRegion::State::commit(const std::vector<PageRun>& runs) {
  std::vector<PageRun> done;
  for (const PageRun& run : runs) {
    auto committed = range->commit(run.first * page_bytes, run.pages() * page_bytes);
    if (committed) {
      resident.insert(run);
      done.push_back(run);
      continue;
    }
    for (const PageRun& undo : done) {
      // If even this fails the pages are still there: they stay resident and charged.
      if (range->decommit(undo.first * page_bytes, undo.pages() * page_bytes)) resident.erase(undo);
    }
    SPILLWAY_CHECK(reservation.resize(resident.pages() * page_bytes).has_value());
    return fail_within(name, std::move(committed).error());
  }
  return {};
}

Result<void> HostRegion::State::decommit(PageRun run) {
  auto given_back = range->decommit(run.first * page_bytes, run.pages() * page_bytes);
  if (!given_back) return fail_within(name, std::move(given_back).error());
  resident.erase(run);
  SPILLWAY_CHECK(reservation.resize(resident.pages() * page_bytes).has_value());
  return {};
}

HostPin::HostPin(HostRegion* region, size_t first_page, size_t pages, std::span<std::byte> bytes)
    : region_(region), first_page_(first_page), pages_(pages), bytes_(bytes) {}

HostPin::HostPin(HostPin&& other) noexcept
    : region_(std::exchange(other.region_, nullptr)),
      first_page_(other.first_page_),
      pages_(other.pages_),
      bytes_(std::exchange(other.bytes_, {})) {}

HostPin& HostPin::operator=(HostPin&& other) noexcept {
  if (this == &other) return *this;
  HostPin old = std::move(*this);
  region_ = std::exchange(other.region_, nullptr);
  first_page_ = other.first_page_;
  pages_ = other.pages_;
  bytes_ = std::exchange(other.bytes_, {});
  return *this;
}

HostPin::~HostPin() {
  if (region_ == nullptr) return;
  HostRegion::State& state = *region_->state_;
  const std::lock_guard lock(state.pins_mutex);
  const auto mine =
      std::find(state.pins.begin(), state.pins.end(), PageRun{first_page_, first_page_ + pages_});
  SPILLWAY_CHECK(mine != state.pins.end());
  *mine = state.pins.back();
  state.pins.pop_back();
}

Result<std::unique_ptr<HostRegion>> HostRegion::create(platform::Platform& platform, Budget& budget,
                                                       Tag tag, std::string_view holder,
                                                       size_t size_bytes) {
  const size_t page_bytes = platform.page_bytes();
  if (size_bytes == 0 || size_bytes > std::numeric_limits<size_t>::max() - page_bytes) {
    return fail(ErrorCode::kUsage, "{}: a region of {} bytes cannot be", holder, size_bytes);
  }
  auto state = std::make_unique<State>();
  state->name = holder;
  state->page_bytes = page_bytes;
  SPILLWAY_ASSIGN(state->reservation, budget.reserve(0, tag, holder));
  auto range = platform.reserve(round_up(size_bytes, page_bytes));
  if (!range) return fail_within(holder, std::move(range).error());
  state->range = std::move(*range);
  // Weights pass by a tenth faster, and the disk writes larger pieces. A huge page lies within what
  // was made resident, so it holds nothing that is not charged.
  state->range->prefer_huge_pages();
  return std::unique_ptr<HostRegion>(new HostRegion(std::move(state)));
}

HostRegion::HostRegion(std::unique_ptr<State> state) : state_(std::move(state)) {}

HostRegion::~HostRegion() {
  SPILLWAY_CHECK(state_->pins.empty());
}

size_t HostRegion::size_bytes() const {
  return state_->size_bytes();
}

std::span<std::byte> HostRegion::bytes() const {
  return state_->range->bytes();
}

size_t HostRegion::resident_bytes() const {
  return state_->resident.pages() * state_->page_bytes;
}

bool HostRegion::resident(size_t offset, size_t size) const {
  return state_->check_bounds(offset, size).has_value() &&
         state_->resident.contains(state_->around(offset, size));
}

Result<void> HostRegion::make_resident(size_t offset, size_t size) {
  SPILLWAY_TRY(state_->check_bounds(offset, size));
  const std::vector<PageRun> missing = state_->resident.gaps(state_->around(offset, size));
  size_t pages = 0;
  for (const PageRun& run : missing) pages += run.pages();
  SPILLWAY_TRY(state_->reservation.resize(resident_bytes() + pages * state_->page_bytes));
  auto committed = state_->commit(missing);
  SPILLWAY_DCHECK(state_->valid());
  return committed;
}

Result<void> HostRegion::evict(size_t offset, size_t size) {
  SPILLWAY_TRY(state_->check_bounds(offset, size));
  const size_t first = round_up(offset, state_->page_bytes) / state_->page_bytes;
  const size_t end = (offset + size) / state_->page_bytes;
  if (first >= end) return {};
  if (state_->pinned({first, end})) {
    return fail(ErrorCode::kUsage, "{}: {} bytes at offset {} cannot be evicted: they are pinned",
                state_->name, size, offset);
  }
  for (const PageRun& run : state_->resident.inside({first, end})) {
    SPILLWAY_TRY(state_->decommit(run));
  }
  SPILLWAY_DCHECK(state_->valid());
  return {};
}

Result<HostPin> HostRegion::pin(size_t offset, size_t size) {
  SPILLWAY_TRY(state_->check_bounds(offset, size));
  const PageRun run = state_->around(offset, size);
  if (!state_->resident.contains(run)) {
    return fail(ErrorCode::kUsage,
                "{}: {} bytes at offset {} cannot be pinned: they are not resident", state_->name,
                size, offset);
  }
  const std::lock_guard lock(state_->pins_mutex);
  state_->pins.push_back(run);
  return HostPin(this, run.first, run.pages(), bytes().subspan(offset, size));
}

}  // namespace spillway::memory
