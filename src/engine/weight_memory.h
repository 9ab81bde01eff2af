// The weights that stay, at addresses that mirror the file: the byte at offset x of the file lies x
// bytes behind the start, so that direct reads go to their final place. Owned by the engine; const
// members are thread-safe.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "engine/model_file.h"
#include "memory/host_region.h"
#include "placement/plan.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::engine {

// Bytes done and bytes in all. Returns whether to go on.
using Progress = std::function<bool(uint64_t done, uint64_t total)>;

class WeightMemory {
 public:
  // Reads the plan's resident units; or maps the file where all of it may stay and it lies in the
  // page cache. kBudget, kMachine, kBadFile (the file got shorter), kInterrupted.
  static Result<WeightMemory> load(platform::Platform& platform, memory::Budget& budget,
                                   const ModelFile& model, const placement::Plan& plan,
                                   const Progress& progress);

  // The bytes of the file from `offset` on; only what is resident may be read.
  const std::byte* at(uint64_t offset) const { return base_ + offset; }
  bool resident(uint64_t offset, size_t size) const;
  bool mapped() const { return mapping_ != nullptr; }

 private:
  WeightMemory() = default;
  std::unique_ptr<memory::HostRegion> region_;
  std::unique_ptr<platform::FileMapping> mapping_;
  memory::Reservation mapping_charge_;
  const std::byte* base_ = nullptr;
};

}  // namespace spillway::engine
