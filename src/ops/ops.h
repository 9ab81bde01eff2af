// The numerical contracts that models are made of. A backend is a folder that implements them
// (cpu/); choosing one, and the instruction set inside it, happens once, when it is made. Row-major
// everywhere; no op allocates; results do not depend on the number of threads, nor a token's
// results on the other tokens of the batch. One thread calls at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/dtype.h"

namespace spillway::ops {

// Whole rows of one weight matrix, contiguous: data holds rows × row_bytes(dtype, columns). Any
// alignment. Interleaved ones (interleaved.h) are whole groups.
struct WeightRows {
  DType dtype = DType::kF32;
  const std::byte* data = nullptr;
  size_t rows = 0;
  size_t columns = 0;
  bool interleaved = false;
};

// A norm that a matmul's input goes through first: rms_norm.
struct InputNorm {
  std::span<const float> weight;  // [columns]
  float epsilon = 0.0F;
  float* out = nullptr;  // [tokens, columns]: where the result goes if float weights need it
};

// The left side of a matmul, made ready once and used by several weights of the same dtype class:
// the floats as they are for float weights; 8-bit integers with one scale per 32 values for
// quantised ones.
struct MatmulInput {
  size_t tokens = 0;
  size_t columns = 0;
  const float* floats = nullptr;         // [tokens, columns]
  const std::byte* quantised = nullptr;  // made by prepare_input; null until then
  const InputNorm* norm = nullptr;       // of `floats`, to come in prepare_input
};

// y[t × y_stride + r] = Σ_c weight[r, c] × input[t, c] for all t < input.tokens, r < weight.rows.
struct Product {
  WeightRows weight;
  float* y = nullptr;
  size_t y_stride = 0;
};
inline constexpr size_t kMostProducts = 8;  // of one call

// How the keys and values of one layer lie in the paged cache. Element (token t, head h, dim d) of
// the keys is at blocks[t / block_tokens] + key_offset, element [h, t % block_tokens, d] of
// [kv_heads, block_tokens, head_dim].
struct KvLayer {
  std::span<std::byte* const> blocks;
  size_t key_offset = 0;    // bytes from a block's start to this layer's keys
  size_t value_offset = 0;  // likewise to its values
  size_t block_tokens = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  DType dtype = DType::kF16;  // one of kKvDTypes
};

// The dtypes that a cache may have. kQ8_0's rows are whole blocks: head_dim is a multiple of 32.
inline constexpr std::array kKvDTypes = {DType::kF16, DType::kBF16, DType::kF32, DType::kQ8_0};

// Keys and values of tokens that follow each other, [tokens, kv_heads, head_dim] each.
struct KvStretch {
  const std::byte* keys = nullptr;
  const std::byte* values = nullptr;
  size_t tokens = 0;
};

// Some of the tokens that a query sees, all of the same kind.
struct KvPart {
  std::span<const KvStretch> stretches;  // at least one, none empty
  size_t kv_heads = 0;
  size_t head_dim = 0;
  DType dtype = DType::kF32;  // kF32, kF16 or kBF16
};

// What attend_part finds: [heads, head_dim] and [heads].
struct PartFound {
  std::span<float> out;
  std::span<float> log_sums;
};

// Which pairs of a head's dimensions turn together.
enum class RopeLayout {
  kInterleaved,  // (0,1), (2,3) …: GGUF's "norm" type, what llama-architecture files are permuted
                 // for
  kHalves        // (0, d/2), (1, d/2+1) …: "neox"
};

struct RopeOptions {
  RopeLayout layout = RopeLayout::kInterleaved;
  size_t dims = 0;              // leading dimensions of each head that turn; even, ≤ head_dim
  double base = 10000.0;        // theta
  double position_scale = 1.0;  // positions are multiplied by this (linear scaling: 1 / factor)
  std::span<const float> factors =
      {};  // dims / 2 divisors of the frequencies (Llama 3's rope_freqs); empty: none
  double magnitude = 1.0;  // what turns is multiplied by this as well (LongRoPE)
};

// Keys that are to turn, and values: [tokens, kv_heads, head_dim].
struct TurnedKv {
  std::span<float> keys;
  std::span<const float> values;
  const RopeOptions& rope;
};

inline constexpr size_t kMostInterleaved = 1024;
inline constexpr size_t kMostPartGroup = 128;  // query heads of a KV head, of attend_part

struct AttentionOptions {
  size_t heads = 0;           // query heads
  size_t first_position = 0;  // of the first token
  float scale = 1.0F;
  size_t window = 0;      // a token sees so many positions, its own the last; 0: all
  float soft_cap = 0.0F;  // scores s become soft_cap × tanh(s / soft_cap); 0: they stay
};

class Ops {
 public:
  virtual ~Ops() = default;
  virtual std::string_view instruction_set() const = 0;  // "AVX3_DL", "AVX2", "scalar", …

  // y[t, i] = x[t, i] / sqrt(mean_i(x[t, i]²) + epsilon) × weight[i]. x, y [tokens, weight.size()];
  // y may be x.
  virtual void rms_norm(std::span<const float> x, std::span<const float> weight, float epsilon,
                        std::span<float> y) = 0;

  // One row of any dtype as floats. out.size() is the number of columns.
  virtual void dequantise_row(DType dtype, const std::byte* row, std::span<float> out) = 0;

  // Whether matmul takes the matrix interleaved, and is faster then.
  virtual bool prefers_interleaved(DType dtype, size_t rows) const = 0;
  // Interleaves whole groups of rows, to where they lie or elsewhere.
  virtual void interleave(const WeightRows& weight, std::byte* to) = 0;

  // Bytes that prepare_input needs for weights of `dtype`; 0 where the floats are used as they are.
  virtual size_t prepared_bytes(DType dtype, size_t tokens, size_t columns) const = 0;
  // What products with weights of `dtype` need of the input, unless it is there: for quantised ones
  // fills `prepared` (prepared_bytes long, 64-byte aligned) from input.floats or, in the same pass,
  // from their norm, and points input.quantised at it; for float ones computes the norm, if there
  // is one, and points input.floats at it.
  virtual void prepare_input(DType dtype, std::span<std::byte> prepared, MatmulInput& input) = 0;
  // Products of one input with up to kMostProducts matrices: the threads start and meet once.
  // `soon`: those of the next matmul with one token, whose weights threads may call into their
  // caches while they wait; nothing else of it is looked at.
  virtual void matmul(const MatmulInput& input, std::span<const Product> products,
                      std::span<const Product> soon) = 0;
  void matmul(const MatmulInput& input, const WeightRows& weight, float* y, size_t y_stride) {
    const Product product{weight, y, y_stride};
    matmul(input, std::span(&product, 1), {});
  }

  // Turns every head of x [tokens, heads, head_dim] in place; token t has position first_position +
  // t.
  virtual void rope(std::span<float> x, size_t heads, size_t head_dim, size_t first_position,
                    const RopeOptions& options) = 0;

  // Writes keys and values [tokens, kv_heads, head_dim] of the positions from first_position on
  // into the cache.
  virtual void store_kv(std::span<const float> keys, std::span<const float> values,
                        size_t first_position, const KvLayer& layer) = 0;

  // rope of the keys, in place, and store_kv of what they become, in one pass.
  virtual void store_turned_kv(const TurnedKv& kv, size_t first_position, const KvLayer& layer) = 0;

  // Causal attention with grouped queries: out[t, h] = softmax(cap(scale × q[t, h] · K[begin …
  // first_position + t])) V, where begin is 0 or by the window (at least one position is seen);
  // query head h uses KV head h / (heads / kv_heads). q, out [tokens, heads, head_dim].
  virtual void attention(std::span<const float> q, const AttentionOptions& options,
                         const KvLayer& layer, std::span<float> out) = 0;

  // Attention of one token over a part of what it sees, to be merged with that over the others (by
  // weights exp(log_sums)): out[h] = softmax(scale × q[h] · K) V and log_sums[h] = log Σ exp(scale
  // × q[h] · K), h as for attention(). q, out [heads, head_dim]; log_sums [heads]; heads / kv_heads
  // ≤ kMostPartGroup. `scratch` has part_floats() elements.
  virtual size_t part_floats(const KvPart& part, size_t heads) const = 0;
  virtual void attend_part(std::span<const float> q, float scale, const KvPart& part,
                           std::span<float> scratch, const PartFound& found) = 0;

  // gate[i] = silu(gate[i]) × up[i].
  virtual void swiglu(std::span<float> gate, std::span<const float> up) = 0;
  // gate[i] = gelu(gate[i]) × up[i], gelu by its tanh form: x / 2 × (1 + tanh(√(2/π) (x + 0.044715
  // x³))).
  virtual void geglu(std::span<float> gate, std::span<const float> up) = 0;
  // x[i] = cap × tanh(x[i] / cap); cap > 0.
  virtual void soft_cap(std::span<float> x, float cap) = 0;
  // x[i] *= factor.
  virtual void scale(std::span<float> x, float factor) = 0;
  // x[t, i] += bias[i]. x [tokens, bias.size()].
  virtual void add_bias(std::span<float> x, std::span<const float> bias) = 0;
  // Every head's first and second half are interleaved: (a0 a1 …, b0 b1 …) → (a0 b0 a1 b1 …). x
  // [any, head_dim], in place; head_dim is even and at most kMostInterleaved.
  virtual void interleave_halves(std::span<float> x, size_t head_dim) = 0;
  // x[i] += y[i].
  virtual void add(std::span<float> x, std::span<const float> y) = 0;
  // x = softmax(x), in place.
  virtual void softmax(std::span<float> x) = 0;
};

// CPU kernels on the pool's threads, for the best instruction set of this processor, or for the one
// named in `instruction_set` ("scalar", "SSE4", "AVX2", "AVX3_DL", "AMX", …) if it is not empty;
// null if the processor lacks it. The pool outlives the ops.
std::unique_ptr<Ops> make_cpu_ops(ThreadPool& pool, std::string_view instruction_set = "");
// The names that make_cpu_ops takes on this processor, best first, "scalar" last.
std::vector<std::string> cpu_instruction_sets();

}  // namespace spillway::ops
