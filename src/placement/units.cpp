#include "placement/units.h"

#include <algorithm>
#include <numeric>

#include "base/units.h"

namespace spillway::placement {
namespace {

// A unit may carry bytes that nobody asked for, if they are few: small tensors lie between
// matrices.
constexpr uint64_t kGapShare = 16;
// Weights of this many neighbours in execution are tried for one unit.
constexpr size_t kLookAhead = 8;
// Kernels work on so many rows at a time.
constexpr size_t kRowMultiple = 16;

size_t rows_per_slice(const model::Weight& weight, size_t block_bytes) {
  const size_t most = std::max<size_t>(1, block_bytes / row_bytes(weight.dtype, weight.columns));
  const size_t slices = (weight.rows + most - 1) / most;
  const size_t even = (weight.rows + slices - 1) / slices;
  return std::min(round_up(even, kRowMultiple), most);
}

void cut_weight(const model::Weight& weight, model::WeightId id, size_t block_bytes,
                std::vector<Slice>& slices) {
  const size_t bytes_per_row = row_bytes(weight.dtype, weight.columns);
  const size_t step = rows_per_slice(weight, block_bytes);
  for (size_t row = 0; row < weight.rows; row += step) {
    const size_t rows = std::min(step, weight.rows - row);
    slices.push_back({.weight = id,
                      .first_row = row,
                      .rows = rows,
                      .file_offset = weight.file_offset + row * bytes_per_row,
                      .size_bytes = rows * bytes_per_row});
  }
}

struct Span {
  size_t slices = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// The most slices from `first` on whose bytes lie close enough together for one unit.
Span span_of_unit(const std::vector<Slice>& slices, size_t first, size_t block_bytes) {
  Span tried{.begin = UINT64_MAX};
  Span best;
  uint64_t sum = 0;
  while (tried.slices < kLookAhead && first + tried.slices < slices.size()) {
    const Slice& slice = slices[first + tried.slices];
    ++tried.slices;
    tried.begin = std::min(tried.begin, slice.file_offset);
    tried.end = std::max(tried.end, slice.file_offset + slice.size_bytes);
    sum += slice.size_bytes;
    const uint64_t bytes = tried.end - tried.begin;
    // A row longer than a block is a unit all the same.
    if (tried.slices == 1 || (bytes <= block_bytes && bytes - sum <= sum / kGapShare)) best = tried;
  }
  return best;
}

}  // namespace

Cut cut_units(const std::vector<model::Weight>& weights, size_t block_bytes) {
  Cut cut;
  for (model::WeightId id = 0; id < weights.size(); ++id) {
    cut_weight(weights[id], id, block_bytes, cut.slices);
  }
  for (size_t first = 0; first < cut.slices.size();) {
    const Span span = span_of_unit(cut.slices, first, block_bytes);
    for (size_t i = first; i < first + span.slices; ++i) cut.slices[i].unit = cut.units.size();
    cut.units.push_back(
        {.file_offset = span.begin, .size_bytes = span.end - span.begin, .cycle_index = {}});
    first += span.slices;
  }
  return cut;
}

namespace {

// Counts pages of a choice of units: the order of the units in the file is found once.
class PageCounter {
 public:
  PageCounter(const std::vector<Unit>& units, size_t page_bytes)
      : units_(units), page_bytes_(page_bytes), by_offset_(units.size()) {
    std::iota(by_offset_.begin(), by_offset_.end(), size_t{0});
    std::sort(by_offset_.begin(), by_offset_.end(),
              [&](size_t a, size_t b) { return units[a].file_offset < units[b].file_offset; });
  }

  uint64_t bytes(const std::vector<bool>& resident) const {
    uint64_t pages = 0;
    uint64_t next = 0;  // first page not yet counted
    for (const size_t i : by_offset_) {
      if (!resident[i]) continue;
      const uint64_t first = std::max(next, units_[i].file_offset / page_bytes_);
      const uint64_t end =
          round_up(units_[i].file_offset + units_[i].size_bytes, page_bytes_) / page_bytes_;
      if (end > first) pages += end - first;
      next = std::max(next, end);
    }
    return pages * page_bytes_;
  }

 private:
  const std::vector<Unit>& units_;
  size_t page_bytes_;
  std::vector<size_t> by_offset_;
};

// Error diffusion: walks the pass and streams a unit whenever the streamed bytes owed reach half of
// it.
std::vector<bool> spread(const std::vector<Unit>& units, double streamed_share) {
  std::vector<bool> resident(units.size(), true);
  double owed = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    const double size = static_cast<double>(units[i].size_bytes);
    owed += size * streamed_share;
    if (owed < size / 2) continue;
    resident[i] = false;
    owed -= size;
  }
  return resident;
}

}  // namespace

uint64_t resident_page_bytes(const std::vector<Unit>& units, size_t page_bytes) {
  std::vector<bool> resident;
  resident.reserve(units.size());
  for (const Unit& unit : units) resident.push_back(!unit.cycle_index);
  return PageCounter(units, page_bytes).bytes(resident);
}

std::vector<memory::StreamRange> choose_resident(std::vector<Unit>& units, uint64_t capacity_bytes,
                                                 size_t page_bytes) {
  const PageCounter counter(units, page_bytes);
  std::vector<bool> resident(units.size(), true);
  if (counter.bytes(resident) > capacity_bytes) {
    double low = 0;
    double high = 1;
    for (int i = 0; i < 24; ++i) {
      const double middle = (low + high) / 2;
      (counter.bytes(spread(units, middle)) <= capacity_bytes ? high : low) = middle;
    }
    resident = spread(units, high);
    if (counter.bytes(resident) > capacity_bytes) resident.assign(units.size(), false);
    // What the last step left over takes units that still fit.
    uint64_t used = counter.bytes(resident);
    for (size_t i = 0; i < units.size(); ++i) {
      const uint64_t most = round_up(units[i].size_bytes, page_bytes) + page_bytes;
      if (resident[i] || used + most > capacity_bytes) continue;
      resident[i] = true;
      used += most;
    }
  }
  std::vector<memory::StreamRange> cycle;
  for (size_t i = 0; i < units.size(); ++i) {
    units[i].cycle_index.reset();
    if (resident[i]) continue;
    units[i].cycle_index = cycle.size();
    cycle.push_back({units[i].file_offset, units[i].size_bytes});
  }
  return cycle;
}

}  // namespace spillway::placement
