// The weights that stay: whole pages of the file one behind the other, without the pages between
// them that do not stay, so that huge pages hold them and direct reads go to their final place.
// Owned by the engine; const members are thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "engine/context.h"
#include "engine/model_file.h"
#include "memory/host_region.h"
#include "ops/ops.h"
#include "placement/plan.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::engine {

// Bytes done and bytes in all. Returns whether to go on.
using Progress = std::function<bool(uint64_t done, uint64_t total)>;

class WeightMemory {
 public:
  // Reads the plan's resident units; or maps the file where all of it may stay, it lies in the page
  // cache, and its matrices are best as they are. Where all of it stays, matrices that the ops
  // prefer interleaved become so. kBudget, kMachine, kBadFile (the file got shorter), kInterrupted.
  static Result<WeightMemory> load(const Context& context, const ModelFile& model,
                                   const placement::Plan& plan, const Progress& progress);

  // The bytes of the file from `offset` on, which must be resident, and with them all resident
  // bytes that follow in the file without a gap.
  const std::byte* at(uint64_t offset) const;
  bool resident(uint64_t offset, size_t size) const;
  bool mapped() const { return mapping_ != nullptr; }
  // Whether the matrix that begins there lies in interleaved rows (ops/interleaved.h).
  bool interleaved(uint64_t offset) const { return interleaved_.contains(offset); }

 private:
  // A stretch of the file and where it lies in the region.
  struct Extent {
    uint64_t begin = 0;
    uint64_t end = 0;
    size_t place = 0;
  };

  WeightMemory() = default;
  static std::vector<Extent> resident_extents(const placement::Plan& plan,
                                              const model::Weight& embedding, size_t page_bytes);
  const Extent* extent_of(uint64_t offset) const;
  std::byte* place_of(uint64_t offset) const;  // in the region
  // The extents, out of the page cache; matrices take their form on the way.
  Result<void> copy_from_cache(ops::Ops& ops, const ModelFile& model, const Progress& progress);
  Result<void> map(memory::Budget& budget, const ModelFile& model, const placement::Plan& plan);

  std::vector<Extent> extents_;  // in file order, with gaps between them
  std::unique_ptr<memory::HostRegion> region_;
  std::unordered_set<uint64_t> interleaved_;  // offsets in the file
  std::unique_ptr<platform::FileMapping> mapping_;
  memory::Reservation mapping_charge_;
};

}  // namespace spillway::engine
