// CpuOps: what happens to keys and values on their way into the cache.
#include "base/check.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/kv_rows.h"

namespace spillway::ops::cpu {
namespace {

// Writes keys and values of some tokens, [tokens, kv_heads, head_dim] each.
class Store {
 public:
  Store(CpuKernels::StoreKv kernel, const KvLayer& layer, size_t first_position, size_t tokens)
      : kernel_(kernel), layer_(layer), first_position_(first_position) {
    SPILLWAY_CHECK(kernel != nullptr && whole_blocks(layer));
    SPILLWAY_CHECK(first_position + tokens <= layer.blocks.size() * layer.block_tokens);
  }

  void token(size_t t, const float* keys, const float* values) const {
    for (size_t h = 0; h < layer_.kv_heads; ++h) {
      const size_t from = (t * layer_.kv_heads + h) * layer_.head_dim;
      kernel_(keys + from, key_row(layer_, h, first_position_ + t), layer_.head_dim);
      kernel_(values + from, value_row(layer_, h, first_position_ + t), layer_.head_dim);
    }
  }

 private:
  CpuKernels::StoreKv kernel_;
  const KvLayer& layer_;
  size_t first_position_;
};

}  // namespace

template <typename After>
void CpuOps::turn(std::span<float> x, const Heads& heads, size_t first_position,
                  const RopeOptions& options, const After& after) {
  const size_t width = heads.count * heads.dim;
  const size_t tokens = x.size() / width;
  const size_t half = options.dims / 2;
  const bool halves = options.layout == RopeLayout::kHalves;
  SPILLWAY_CHECK(options.dims % 2 == 0 && options.dims <= heads.dim);
  SPILLWAY_CHECK(options.factors.empty() || options.factors.size() == half);
  for (size_t pair = 0; pair < half; pair += RopeFrequencies::kMost) {
    RopeMemo& memo = rope_memos_[pair / RopeFrequencies::kMost % rope_memos_.size()];
    const RopeFrequencies& pairs = memo.frequencies(options, pair);
    const bool last = pair + RopeFrequencies::kMost >= half;
    const auto turn_token = [&](const RopeAngles& angles, size_t t) {
      for (size_t h = 0; h < heads.count; ++h) {
        float* head = x.data() + t * width + h * heads.dim;
        float* first = halves ? head + pair : head + 2 * pair;
        kernels_.rope({.first = first,
                       .second = halves ? first + half : first + 1,
                       .step = halves ? 1U : 2U,
                       .count = pairs.count,
                       .cosines = angles.cosines.data(),
                       .sines = angles.sines.data()});
      }
      if (last) after(t);
    };
    if (tokens == 1) {
      turn_token(memo.angles(first_position), 0);
      continue;
    }
    parallel(tokens, token_grain(width), [&](size_t begin, size_t end) {
      for (size_t t = begin; t < end; ++t) turn_token(RopeAngles(pairs, first_position + t), t);
    });
  }
}

void CpuOps::rope(std::span<float> x, size_t heads, size_t head_dim, size_t first_position,
                  const RopeOptions& options) {
  turn(x, {heads, head_dim}, first_position, options, [](size_t) {});
}

void CpuOps::store_kv(std::span<const float> keys, std::span<const float> values,
                      size_t first_position, const KvLayer& layer) {
  const size_t width = layer.kv_heads * layer.head_dim;
  SPILLWAY_CHECK(keys.size() == values.size() && keys.size() % width == 0);
  const size_t tokens = keys.size() / width;
  const Store store(kernels_.store_kv[slot(layer.dtype)], layer, first_position, tokens);
  parallel(tokens, token_grain(2 * width), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) store.token(t, keys.data(), values.data());
  });
}

void CpuOps::store_turned_kv(const TurnedKv& kv, size_t first_position, const KvLayer& layer) {
  const auto& [keys, values, rope] = kv;
  const size_t width = layer.kv_heads * layer.head_dim;
  SPILLWAY_CHECK(keys.size() == values.size() && keys.size() % width == 0 && rope.dims > 0);
  const Store store(kernels_.store_kv[slot(layer.dtype)], layer, first_position,
                    keys.size() / width);
  turn(keys, {layer.kv_heads, layer.head_dim}, first_position, rope,
       [&](size_t t) { store.token(t, kv.keys.data(), kv.values.data()); });
}

}  // namespace spillway::ops::cpu
