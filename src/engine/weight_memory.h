// The weights that stay: whole pages of the file one behind the other, without the pages between
// them that do not stay, so that huge pages hold them and direct reads go to their final place.
// Owned by the engine; const members are thread-safe.
#pragma once

#include <memory>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "engine/context.h"
#include "engine/model_file.h"
#include "engine/stretch_source.h"
#include "engine/weight_reader.h"
#include "memory/host_region.h"
#include "ops/ops.h"
#include "placement/plan.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::engine {

class WeightMemory {
 public:
  static constexpr size_t kStepBytes = 256 * kMiB;

  // Begins to read the plan's resident units; or maps the file where all of it may stay and it lies
  // in the page cache, or has room there while its weights take another form. kBudget, kMachine,
  // kBadFile (the file got shorter).
  static Result<WeightMemory> load(const Context& context, const ModelFile& model,
                                   const placement::Plan& plan, const Progress& progress);

  // Waits until all that stays of the file before `file_end` has come. kBadFile (the file got
  // shorter), kMachine, kInterrupted (`progress` said so; it may be called again).
  Result<void> await(uint64_t file_end);
  Result<void> finish_loading();  // likewise all
  bool loading() const { return reader_ != nullptr; }
  double loading_seconds() const { return loading_seconds_; }  // that await() has taken

  // After loading. Where all of the file stays, matrices that the ops prefer interleaved become so;
  // of a mapped file all moves to memory that is charged since load(). Whole matrices of at least
  // step_bytes each time: it is called before passes of one token, which gain by it, so that
  // neither loading nor a prompt waits for it, and no token for all of it.
  void take_form(ops::Ops& ops, size_t step_bytes = kStepBytes);
  bool has_form() const { return rest_.empty(); }  // nothing is left of that

  // The bytes of the file from `offset` on, which must be resident, and with them all resident
  // bytes that follow in the file without a gap.
  const std::byte* at(uint64_t offset) const;
  bool resident(uint64_t offset, size_t size) const;
  bool mapped() const { return mapped_; }  // by load(), instead of reading it
  // Whether the matrix that begins there lies in interleaved rows (ops/interleaved.h).
  bool interleaved(uint64_t offset) const { return interleaved_.contains(offset); }

 private:
  // A matrix that changes its form or, out of a mapping, its place.
  struct Change {
    model::Weight weight;
    bool interleaves = false;
  };

  WeightMemory() = default;
  static std::vector<Stretch> resident_extents(const placement::Plan& plan,
                                               const model::Weight& embedding, size_t page_bytes);
  const Stretch* extent_of(uint64_t offset) const;
  std::byte* place_of(uint64_t offset) const;  // in the region
  std::unique_ptr<platform::FileMapping> map_to_bring(const Context& context,
                                                      const platform::File& file) const;
  Result<void> charge_mapping(const Context& context, const placement::Plan& plan);
  void read(std::unique_ptr<StretchSource> source);
  Result<void> create_region(const Context& context);
  // Out of the mapping.
  void move(const Change& change, ops::Ops& ops);
  // Of all matrices, the last in the file first; none where none takes another form.
  static std::vector<Change> changes_of(const model::Transformer& transformer, const ops::Ops& ops);

  std::vector<Stretch> extents_;  // in file order, with gaps between them
  std::unique_ptr<memory::HostRegion> region_;
  std::vector<Change> rest_;                  // of take_form(), from the back
  std::unordered_set<uint64_t> interleaved_;  // offsets in the file
  bool mapped_ = false;
  uint64_t moved_end_ = 0;  // what the file has before this has left the mapping
  std::unique_ptr<platform::FileMapping> mapping_;
  memory::Reservation mapping_charge_;
  Progress progress_;
  const platform::Clock* clock_ = nullptr;
  double loading_seconds_ = 0;
  std::unique_ptr<WeightReader> reader_;  // until all has come
};

}  // namespace spillway::engine
