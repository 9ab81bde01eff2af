#include "engine/weight_memory.h"

#include <algorithm>
#include <vector>

#include "base/units.h"

namespace spillway::engine {
namespace {

constexpr size_t kReadBytes = kMiB;
constexpr unsigned kReadDepth = 8;

struct Extent {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Whole pages of what stays, in file order, neighbours joined.
std::vector<Extent> resident_extents(const placement::Plan& plan, const model::Weight& embedding,
                                     size_t page_bytes) {
  std::vector<Extent> extents;
  const auto add = [&](uint64_t offset, uint64_t size) {
    extents.push_back({round_down(offset, page_bytes), round_up(offset + size, page_bytes)});
  };
  for (const placement::Unit& unit : plan.units) {
    if (!unit.cycle_index) add(unit.file_offset, unit.size_bytes);
  }
  if (plan.embedding_resident) add(embedding.file_offset, embedding.size_bytes());
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  std::vector<Extent> joined;
  for (const Extent& extent : extents) {
    if (joined.empty() || extent.begin > joined.back().end) {
      joined.push_back(extent);
    } else {
      joined.back().end = std::max(joined.back().end, extent.end);
    }
  }
  return joined;
}

// Reads the extents with many reads in flight; every byte goes to its final place.
class ExtentReader {
 public:
  ExtentReader(const platform::File& file, std::span<std::byte> target,
               const std::vector<Extent>& extents)
      : file_(file), target_(target) {
    for (const Extent& extent : extents) {
      for (uint64_t at = extent.begin; at < extent.end; at += kReadBytes) {
        pieces_.push_back({at, std::min(at + kReadBytes, extent.end)});
        total_ += std::min(pieces_.back().end, file.info().size_bytes) - at;
      }
    }
  }

  Result<void> read(const Progress& progress) {
    SPILLWAY_ASSIGN(const auto queue, file_.open_queue(kReadDepth));
    size_t next = 0;
    uint64_t done = 0;
    while (next < pieces_.size() || queue->in_flight() > 0) {
      while (next < pieces_.size() && queue->in_flight() < queue->depth()) {
        const Extent& piece = pieces_[next];
        SPILLWAY_TRY(queue->submit(
            {piece.begin, target_.subspan(piece.begin, piece.end - piece.begin), next}));
        ++next;
      }
      SPILLWAY_ASSIGN(const platform::ReadCompletion completion, queue->wait());
      SPILLWAY_TRY(check(completion));
      done += *completion.bytes;
      if (progress && !progress(done, total_))
        return fail(ErrorCode::kInterrupted, "interrupted while loading");
    }
    return {};
  }

 private:
  Result<void> check(const platform::ReadCompletion& completion) const {
    const platform::FileInfo& info = file_.info();
    if (!completion.bytes) return fail_within(info.path, completion.bytes.error());
    const Extent& piece = pieces_[completion.id];
    if (piece.begin + *completion.bytes < std::min(piece.end, info.size_bytes)) {
      return fail(
          ErrorCode::kBadFile,
          "{}: the file ends at {}; it was {} bytes long when it was opened. Was it truncated?",
          info.path, piece.begin + *completion.bytes, info.size_bytes);
    }
    return {};
  }

  const platform::File& file_;
  std::span<std::byte> target_;
  std::vector<Extent> pieces_;
  uint64_t total_ = 0;
};

// Reading what the page cache holds would only copy it; a little may be missing.
bool lies_in_page_cache(const platform::File& file) {
  return file.cached_bytes() + file.info().size_bytes / 64 >= file.info().size_bytes;
}

}  // namespace

Result<WeightMemory> WeightMemory::load(platform::Platform& platform, memory::Budget& budget,
                                        const ModelFile& model, const placement::Plan& plan,
                                        const Progress& progress) {
  const platform::File& file = *model.file;
  WeightMemory memory;
  const uint64_t file_bytes = file.info().size_bytes;
  if (plan.cycle.empty() && plan.embedding_resident && lies_in_page_cache(file)) {
    SPILLWAY_ASSIGN(memory.mapping_charge_,
                    budget.reserve(plan.resident_bytes + plan.embedding_bytes,
                                   memory::Tag::kWeights, "mapped file"));
    SPILLWAY_ASSIGN(memory.mapping_, file.map());
    if (memory.mapping_->bytes().size() < file_bytes) {
      return fail(ErrorCode::kBadFile, "{}: the file got shorter while it was opened",
                  file.info().path);
    }
    memory.base_ = memory.mapping_->bytes().data();
    return memory;
  }
  // Direct reads may ask for more than a page.
  const size_t grain = std::max(platform.page_bytes(), file.info().offset_alignment);
  SPILLWAY_ASSIGN(memory.region_,
                  memory::HostRegion::create(platform, budget, memory::Tag::kWeights,
                                             "resident slices", round_up(file_bytes, grain)));
  memory.base_ = memory.region_->bytes().data();
  const std::vector<Extent> extents = resident_extents(plan, model.transformer.embedding(), grain);
  for (const Extent& extent : extents)
    SPILLWAY_TRY(memory.region_->make_resident(extent.begin, extent.end - extent.begin));
  SPILLWAY_TRY(ExtentReader(file, memory.region_->bytes(), extents).read(progress));
  return memory;
}

bool WeightMemory::resident(uint64_t offset, size_t size) const {
  return mapped() || region_->resident(offset, size);
}

}  // namespace spillway::engine
