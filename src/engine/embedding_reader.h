// Rows of the embedding table for tokens: from memory where they are resident, else a small aligned
// read each, many in flight; never the table. Owned by the engine; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "engine/weight_memory.h"
#include "memory/host_region.h"
#include "model/weights.h"
#include "ops/ops.h"
#include "platform/platform.h"

namespace spillway::engine {

class EmbeddingReader {
 public:
  static uint64_t staging_bytes(const model::Weight& table, const platform::FileInfo& file,
                                size_t page_bytes);

  // All references outlive the reader. kBudget, kMachine.
  static Result<EmbeddingReader> create(platform::Platform& platform, memory::Budget& budget,
                                        const platform::File& file, const model::Weight& table);

  // out [ids.size(), columns]; ids in [0, rows).
  Result<void> read(std::span<const int32_t> ids, WeightMemory& memory, ops::Ops& ops,
                    std::span<float> out);
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  EmbeddingReader() = default;
  Result<void> submit(size_t slot, size_t index, int32_t id);
  Result<void> finish_one(std::span<const int32_t> ids, ops::Ops& ops, std::span<float> out);
  uint64_t row_offset(int32_t id) const;

  const platform::File* file_ = nullptr;
  model::Weight table_;
  size_t row_bytes_ = 0;
  size_t slot_bytes_ = 0;
  std::unique_ptr<memory::HostRegion> slots_;
  std::unique_ptr<platform::ReadQueue> queue_;
  std::vector<size_t> free_slots_;
  uint64_t bytes_read_ = 0;
};

}  // namespace spillway::engine
