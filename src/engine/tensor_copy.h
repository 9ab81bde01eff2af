// Tensors on their way from a model's files into another: read some rows at a time, turned into
// another dtype and another order of rows where that is asked for, and handed on. What is in memory
// is a block of rows, charged to the budget. Owned by whoever writes a model; one thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "memory/host_region.h"
#include "platform/platform.h"

namespace spillway::engine {

// How the rows of each head of a query or key matrix (or the elements of its bias) are put: the two
// halves that RoPE pairs lie one behind the other, or row by row beside each other.
enum class HeadOrder { kAsItIs, kInterleave, kSeparate };

struct TensorCopy {
  const platform::File* file = nullptr;  // that the bytes are read from; null: `values` are F32
  formats::GgufTensor source;
  DType dtype = DType::kF32;  // of the copy
  HeadOrder order = HeadOrder::kAsItIs;
  size_t head_rows = 0;  // of one head; even, and all rows are whole heads; unless kAsItIs
  float offset = 0.0F;   // added to every value
  std::vector<float> values = {};

  uint64_t size_bytes() const;  // of the copy
};

// Takes the copy's bytes in order.
using ByteSink = std::function<Result<void>(std::span<const std::byte>)>;
// After each block of rows; false stops with kInterrupted.
using CopyProgress = std::function<bool(uint64_t bytes_read)>;

class TensorCopier {
 public:
  // Buffers for all of `copies`: as large as is useful and the budget allows. kBudget: not even the
  // smallest would fit. Everything outlives the copier.
  static Result<TensorCopier> create(platform::Platform& platform, memory::Budget& budget,
                                     ThreadPool& pool, std::span<const TensorCopy> copies);

  // kBadFile: the file got shorter, or has values that are not finite and cannot be quantised;
  // kMachine: reading failed; or what the sink returns.
  Result<void> copy(const TensorCopy& tensor, const ByteSink& sink, const CopyProgress& progress);

 private:
  TensorCopier(ThreadPool& pool, std::unique_ptr<memory::HostRegion> buffer)
      : pool_(&pool), buffer_(std::move(buffer)) {}

  ThreadPool* pool_;
  std::unique_ptr<memory::HostRegion> buffer_;
};

}  // namespace spillway::engine
