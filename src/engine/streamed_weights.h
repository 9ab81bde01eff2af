// The weights of a pass wherever they live: resident slices are used in place, the others as the
// staging ring brings them. Owned by the engine; one thread.
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "engine/embedding_reader.h"
#include "engine/weight_memory.h"
#include "memory/staging_ring.h"
#include "model/weights.h"
#include "ops/ops.h"
#include "placement/plan.h"

namespace spillway::engine {

// Makes a matmul's input ready for a product with weights of the dtype, in `prepared`, unless it
// is.
void prepare_input(DType dtype, ops::Ops& ops, std::span<std::byte> prepared,
                   ops::MatmulInput& input);

class StreamedWeights final : public model::WeightSource {
 public:
  struct Parts {
    const std::vector<model::Weight>& weights;
    const placement::Plan& plan;
    WeightMemory& memory;
    memory::StagingRing* ring;  // null where nothing streams
    EmbeddingReader& embedding;
    ops::Ops& ops;
    std::span<std::byte> prepared;  // for one matmul input
    const std::atomic<bool>* stop = nullptr;
  };
  explicit StreamedWeights(const Parts& parts);

  Result<void> multiply(std::span<const model::Product> products, ops::MatmulInput& input) override;
  Result<void> skip(model::WeightId weight) override;
  Result<void> embed(std::span<const int32_t> ids, std::span<float> out) override;

  uint64_t host_bytes() const { return host_bytes_; }  // of resident slices that were used

 private:
  bool resident(const placement::Slice& slice) const;
  Result<const std::byte*> acquire(const placement::Slice& slice);
  ops::WeightRows find(model::WeightId weight) const;
  ops::WeightRows whole(model::WeightId weight) const;
  // All of the products' weights are resident.
  void multiply_resident(std::span<const model::Product> products, ops::MatmulInput& input);
  // The rows of a slice, or of all that stay from it on; `slice` becomes the one behind them.
  Result<ops::WeightRows> take(model::WeightId weight, size_t& slice);
  // Slices of one matmul with many tokens.
  size_t most_together() const;
  // Slice by slice, as they come, or a few at a time.
  Result<void> multiply_slices(const model::Product& product, const ops::MatmulInput& input);
  // Gives a unit's slot back after its last slice.
  Result<void> release(size_t slice);
  // Ends the pass before `first`, so that the next one finds the ring at its beginning.
  Result<void> skip_from(model::WeightId first);

  Parts parts_;
  std::vector<size_t> first_slice_;  // of each weight, and the end
  std::vector<bool> resident_;       // of each weight: all of it
  // Of each resident weight, as find() says, from when on it stays so; empty before. What the
  // memory knows of them lies far apart, and has left the caches when its turn comes in the next
  // pass.
  std::vector<ops::WeightRows> whole_;
  std::vector<size_t> together_;  // of each weight: products of the matmul that began with it
  uint64_t host_bytes_ = 0;
};

}  // namespace spillway::engine
