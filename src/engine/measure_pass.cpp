#include "engine/measure_pass.h"

#include <algorithm>
#include <vector>

#include "base/statistics.h"
#include "engine/kv_cache.h"
#include "engine/streamed_weights.h"
#include "memory/host_region.h"
#include "model/activations.h"

namespace spillway::engine {
namespace {

constexpr int kWarmUps = 2;
constexpr int kPasses = 15;

// Products cost nothing and leave what was there.
class NoProducts final : public model::WeightSource {
 public:
  NoProducts(const std::vector<model::Weight>& weights, ops::Ops& ops,
             std::span<std::byte> prepared)
      : weights_(weights), ops_(ops), prepared_(prepared) {}

  Result<void> multiply(std::span<const model::Product> products,
                        ops::MatmulInput& input) override {
    for (const model::Product& product : products)
      prepare_input(weights_[product.weight].dtype, ops_, prepared_, input);
    return {};
  }
  Result<void> skip(model::WeightId) override { return {}; }
  Result<void> embed(std::span<const int32_t>, std::span<float> out) override {
    std::fill(out.begin(), out.end(), 1.0F);
    return {};
  }

 private:
  const std::vector<model::Weight>& weights_;
  ops::Ops& ops_;
  std::span<std::byte> prepared_;
};

}  // namespace

Result<double> measure_pass(const Context& context, const ModelFile& model, DType kv,
                            size_t position) {
  const model::ModelConfig& config = model.transformer.config();
  const size_t bytes = model::Activations::size_bytes(config, context.ops, 1, 1);
  SPILLWAY_ASSIGN(const auto block,
                  memory::HostRegion::create(context.platform, context.budget,
                                             memory::Tag::kActivations, "a pass", bytes));
  SPILLWAY_TRY(block->make_resident(0, bytes));
  const auto layout = model::KvLayout::of(config, kv, kKvBlockTokens);
  SPILLWAY_ASSIGN(const auto cache,
                  KvCache::create(context.platform, context.budget, layout, position + 1));
  model::Activations activations(config, context.ops, 1, 1, block->bytes().first(bytes));
  NoProducts weights(model.transformer.weights(), context.ops, activations.prepared);
  const int32_t id = 0;
  const model::Batch batch{.ids = {&id, 1}, .first_position = position, .outputs = 1};
  std::vector<double> seconds;
  for (int i = 0; i < kWarmUps + kPasses; ++i) {
    const double started = context.platform.clock().seconds();
    SPILLWAY_TRY(model.transformer.forward(batch, {layout, cache.blocks()}, context.ops, weights,
                                           activations));
    if (i >= kWarmUps) seconds.push_back(context.platform.clock().seconds() - started);
  }
  return median(std::move(seconds));
}

}  // namespace spillway::engine
