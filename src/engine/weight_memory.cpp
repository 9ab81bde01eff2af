#include "engine/weight_memory.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "ops/interleaved.h"

namespace spillway::engine {
namespace {

constexpr size_t kMoveBytes = 8 * kMiB;  // that lie in two places at once

// Reading what the page cache holds would only copy it; a little may be missing.
bool lies_in_page_cache(const platform::File& file) {
  return file.cached_bytes() + file.info().size_bytes / 64 >= file.info().size_bytes;
}

// What the machine has for a process that will also touch what it has been promised and has not
// touched yet: a KV cache is charged and reserved by now, and free to all that the system knows.
// What else a process holds is taken for it: a large host's promise is not seen in full.
uint64_t free_bytes(const Context& context) {
  const auto memory = context.platform.host_memory();
  if (!memory) return 0;
  const uint64_t free = memory->free_bytes();
  const uint64_t charged = context.budget.usage().bytes;
  const uint64_t untouched = charged - std::min(charged, memory->process_resident_bytes);
  return free - std::min(free, untouched);
}

Result<std::unique_ptr<platform::FileMapping>> map_whole(const platform::File& file) {
  SPILLWAY_ASSIGN(auto mapping, file.map());
  if (mapping->bytes().size() < file.info().size_bytes) {
    return fail(ErrorCode::kBadFile, "{}: the file got shorter while it was opened",
                file.info().path);
  }
  return mapping;
}

}  // namespace

Result<WeightMemory> WeightMemory::load(const Context& context, const ModelFile& model,
                                        const placement::Plan& plan, const Progress& progress) {
  const platform::File& file = *model.file;
  WeightMemory memory;
  const bool all_stay = plan.cycle.empty() && plan.embedding_resident;
  if (all_stay) memory.rest_ = changes_of(model.transformer, context.ops);
  // Direct reads may ask for more than a page.
  const size_t grain = std::max(context.platform.page_bytes(), file.info().offset_alignment);
  memory.extents_ = resident_extents(plan, model.transformer.embedding(), grain);
  memory.progress_ = progress;
  memory.clock_ = &context.platform.clock();
  const bool cached = all_stay && lies_in_page_cache(file);
  if (cached) {
    SPILLWAY_ASSIGN(memory.mapping_, map_whole(file));
  } else {
    memory.mapping_ = memory.map_to_bring(context, file);
  }
  if (memory.mapping_ != nullptr) {
    SPILLWAY_TRY(memory.charge_mapping(context, plan));
    if (!cached) memory.read(StretchSource::page_cache(file, *memory.mapping_, memory.extents_));
    return memory;
  }
  if (memory.extents_.empty()) return memory;
  SPILLWAY_TRY(memory.create_region(context));
  SPILLWAY_ASSIGN(auto source,
                  StretchSource::reads(file, memory.region_->bytes(), memory.extents_));
  memory.read(std::move(source));
  return memory;
}

void WeightMemory::read(std::unique_ptr<StretchSource> source) {
  reader_ = std::make_unique<WeightReader>(std::move(source));
}

// A file that is not there yet comes into the page cache first if its matrices then move to another
// form, and the page cache can keep it beside that: the disk writes to pages that nobody has
// touched, which the memory of a process has to be, and the next run finds it there.
// Null where that cannot be done (a file in parts, an old Linux): direct reads do it.
std::unique_ptr<platform::FileMapping> WeightMemory::map_to_bring(
    const Context& context, const platform::File& file) const {
  if (rest_.empty()) return nullptr;
  if (free_bytes(context) / 2 <= file.info().size_bytes) return nullptr;
  auto mapping = map_whole(file);
  return mapping && (*mapping)->bring(0, 1) ? std::move(*mapping) : nullptr;
}

Result<void> WeightMemory::await(uint64_t file_end) {
  if (reader_ == nullptr) return {};
  const auto next = std::ranges::lower_bound(extents_, file_end, {}, &Stretch::begin);
  if (next == extents_.begin()) return {};
  const Stretch& last = *std::prev(next);
  const double started = clock_->seconds();
  auto come = reader_->await(last.place + (std::min(file_end, last.end) - last.begin), progress_);
  loading_seconds_ += clock_->seconds() - started;
  return come;
}

Result<void> WeightMemory::finish_loading() {
  if (reader_ == nullptr) return {};
  SPILLWAY_TRY(await(extents_.back().end));
  reader_.reset();
  return {};
}

Result<void> WeightMemory::create_region(const Context& context) {
  const Stretch& last = extents_.back();
  const size_t bytes = last.place + (last.end - last.begin);
  SPILLWAY_ASSIGN(
      region_, memory::HostRegion::create(context.platform, context.budget, memory::Tag::kWeights,
                                          "resident slices", bytes));
  return region_->make_resident(0, bytes);
}

Result<void> WeightMemory::charge_mapping(const Context& context, const placement::Plan& plan) {
  mapped_ = true;
  if (rest_.empty()) {
    SPILLWAY_ASSIGN(mapping_charge_,
                    context.budget.reserve(plan.resident_bytes + plan.embedding_bytes,
                                           memory::Tag::kWeights, "mapped file"));
    return {};
  }
  // What is not in the region yet is in the mapping: one charge is enough.
  return create_region(context);
}

std::vector<WeightMemory::Change> WeightMemory::changes_of(const model::Transformer& transformer,
                                                           const ops::Ops& ops) {
  std::vector<Change> changes;
  for (const model::Weight& weight : transformer.weights())
    changes.push_back({weight, ops.prefers_interleaved(weight.dtype, weight.rows)});
  if (std::ranges::none_of(changes, &Change::interleaves)) return {};
  if (!transformer.tied_embedding()) changes.push_back({transformer.embedding(), false});
  std::ranges::sort(changes, std::greater{},
                    [](const Change& change) { return change.weight.file_offset; });
  return changes;
}

void WeightMemory::take_form(ops::Ops& ops, size_t step_bytes) {
  SPILLWAY_CHECK(!loading());
  if (rest_.empty()) return;
  for (size_t done = 0; done < step_bytes && !rest_.empty(); rest_.pop_back()) {
    const auto& [weight, interleaves] = rest_.back();
    if (mapping_ != nullptr) {
      move(rest_.back(), ops);
    } else if (interleaves) {
      std::byte* const place = place_of(weight.file_offset);
      ops.interleave({weight.dtype, place, weight.rows, weight.columns}, place);
    }
    if (interleaves) interleaved_.insert(weight.file_offset);
    done += weight.size_bytes();
  }
  if (rest_.empty()) mapping_.reset();
}

void WeightMemory::move(const Change& change, ops::Ops& ops) {
  const model::Weight& weight = change.weight;
  const size_t row = row_bytes(weight.dtype, weight.columns);
  const size_t most = round_up(std::max<size_t>(1, kMoveBytes / row), ops::kInterleavedRows);
  for (size_t first = 0; first < weight.rows; first += most) {
    const size_t rows = std::min(most, weight.rows - first);
    const uint64_t offset = weight.file_offset + first * row;
    const std::byte* from = mapping_->bytes().data() + offset;
    if (change.interleaves) {
      ops.interleave({weight.dtype, from, rows, weight.columns}, place_of(offset));
    } else {
      std::memcpy(place_of(offset), from, rows * row);
    }
    // Pages that were read would count as this process's, beside their copy.
    mapping_->forget(offset, rows * row);
  }
  moved_end_ = weight.file_offset + weight.size_bytes();
}

// Whole pages of what stays, neighbours joined.
std::vector<Stretch> WeightMemory::resident_extents(const placement::Plan& plan,
                                                    const model::Weight& embedding,
                                                    size_t page_bytes) {
  std::vector<Stretch> extents;
  const auto add = [&](uint64_t offset, uint64_t size) {
    extents.push_back({round_down(offset, page_bytes), round_up(offset + size, page_bytes)});
  };
  for (const placement::Unit& unit : plan.units) {
    if (!unit.cycle_index) add(unit.file_offset, unit.size_bytes);
  }
  if (plan.embedding_resident) add(embedding.file_offset, embedding.size_bytes());
  std::sort(extents.begin(), extents.end(),
            [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
  std::vector<Stretch> joined;
  for (const Stretch& extent : extents) {
    if (joined.empty() || extent.begin > joined.back().end) {
      joined.push_back(extent);
    } else {
      joined.back().end = std::max(joined.back().end, extent.end);
    }
  }
  size_t place = 0;
  for (Stretch& extent : joined) {
    extent.place = place;
    place += extent.end - extent.begin;
  }
  return joined;
}

// Null where none holds the offset.
const Stretch* WeightMemory::extent_of(uint64_t offset) const {
  const auto next = std::ranges::upper_bound(extents_, offset, {}, &Stretch::begin);
  if (next == extents_.begin()) return nullptr;
  const Stretch& extent = *std::prev(next);
  return offset < extent.end ? &extent : nullptr;
}

const std::byte* WeightMemory::at(uint64_t offset) const {
  const bool moved = mapping_ == nullptr || offset < moved_end_;
  return moved ? place_of(offset) : mapping_->bytes().data() + offset;
}

std::byte* WeightMemory::place_of(uint64_t offset) const {
  const Stretch* extent = extent_of(offset);
  SPILLWAY_CHECK(extent != nullptr);
  return region_->bytes().data() + extent->place + (offset - extent->begin);
}

bool WeightMemory::resident(uint64_t offset, size_t size) const {
  if (mapping_ != nullptr) return true;
  const Stretch* extent = extent_of(offset);
  return extent != nullptr && size <= extent->end - offset;
}

}  // namespace spillway::engine
