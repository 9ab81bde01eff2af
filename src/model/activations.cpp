#include "model/activations.h"

#include <algorithm>

#include "base/check.h"
#include "base/units.h"

namespace spillway::model {
namespace {

// The one list of buffers, used to size the block and to cut it: visit(bytes) returns where a
// buffer begins.
struct BufferSizes {
  size_t dim, q, kv, ffn, logits, prepared;

  static BufferSizes of(const ModelConfig& c, const ops::Ops& ops, size_t tokens, size_t outputs) {
    const size_t widest = std::max({c.dim, c.q_dim(), c.ffn_dim});
    // Quantised weights share one form of input; Q8_0 stands for them.
    const size_t block = dtype_info(DType::kQ8_0).block_elements;
    return {.dim = tokens * c.dim,
            .q = tokens * c.q_dim(),
            .kv = tokens * c.kv_dim(),
            .ffn = tokens * c.ffn_dim,
            .logits = outputs * c.vocabulary,
            .prepared = ops.prepared_bytes(DType::kQ8_0, tokens, round_up(widest, block))};
  }
};

constexpr size_t kCacheLine = 64;

class Cutter {
 public:
  explicit Cutter(std::byte* block) : block_(block) {}
  std::span<std::byte> bytes(size_t size) {
    std::byte* begin = block_ == nullptr ? nullptr : block_ + used_;
    used_ += round_up(size, kCacheLine);
    return {begin, begin == nullptr ? 0 : size};
  }
  std::span<float> floats(size_t count) {
    const std::span<std::byte> cut = bytes(count * sizeof(float));
    return {reinterpret_cast<float*>(cut.data()), cut.size() / sizeof(float)};
  }
  size_t used() const { return used_; }

 private:
  std::byte* block_;
  size_t used_ = 0;
};

}  // namespace

size_t Activations::size_bytes(const ModelConfig& config, const ops::Ops& ops, size_t tokens,
                               size_t outputs) {
  const BufferSizes s = BufferSizes::of(config, ops, tokens, outputs);
  Cutter cutter(nullptr);
  for (const size_t count : {s.dim, s.dim, s.q, s.kv, s.kv, s.q, s.ffn, s.ffn, s.logits}) {
    cutter.floats(count);
  }
  cutter.bytes(s.prepared);
  return cutter.used();
}

Activations::Activations(const ModelConfig& config, const ops::Ops& ops, size_t max_tokens,
                         size_t max_outputs, std::span<std::byte> block)
    : tokens(max_tokens), outputs(max_outputs) {
  SPILLWAY_CHECK(block.size() >= size_bytes(config, ops, max_tokens, max_outputs));
  const BufferSizes s = BufferSizes::of(config, ops, max_tokens, max_outputs);
  Cutter cutter(block.data());
  residual = cutter.floats(s.dim);
  normed = cutter.floats(s.dim);
  q = cutter.floats(s.q);
  k = cutter.floats(s.kv);
  v = cutter.floats(s.kv);
  attended = cutter.floats(s.q);
  gate = cutter.floats(s.ffn);
  up = cutter.floats(s.ffn);
  logits = cutter.floats(s.logits);
  prepared = cutter.bytes(s.prepared);
}

}  // namespace spillway::model
