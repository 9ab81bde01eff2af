// What one instruction set offers: a table of functions that compute a range of one op's result on
// the calling thread. cpu_ops.cpp cuts ops into ranges; instruction_sets.cpp picks the table, once.
// A kernel's results do not depend on how its work was cut. Tables are values; kernels: any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ops/cpu/prepared.h"
#include "ops/interleaved.h"
#include "ops/ops.h"
#include "tensor/dtype.h"

namespace spillway::ops::cpu {

struct MatmulTask {
  const MatmulInput& input;
  const WeightRows& weight;
  float* y;  // y[t × y_stride + row]
  size_t y_stride;
};

struct AttentionTask {
  const float* q;  // [tokens, heads, head_dim]
  const AttentionOptions& options;
  const KvLayer& layer;
  float* out;  // as q

  size_t group() const { return options.heads / layer.kv_heads; }  // query heads of one KV head
  // What `token` sees: [first_seen, end_seen).
  size_t end_seen(size_t token) const { return options.first_position + token + 1; }
  size_t first_seen(size_t token) const {
    const size_t end = end_seen(token);
    return options.window == 0 || options.window >= end ? 0 : end - options.window;
  }
};

// Attention of one token over a part of what it sees.
struct PartTask {
  const float* q;  // [heads, head_dim]
  size_t heads;
  float scale;
  const KvPart& part;

  size_t group() const { return heads / part.kv_heads; }
  size_t token_bytes() const { return row_bytes(part.dtype, part.kv_heads * part.head_dim); }
  // Of what a head has found in one chunk of the tokens: Σ weight × value [head_dim], weights
  // relative to that of the largest score; that score; Σ weight.
  size_t sums_floats() const { return part.head_dim + 2; }
};

// Pairs of one head that turn: (first[i × step], second[i × step]) by the angle of cosine and sine
// i.
struct RopePairs {
  float* first;
  float* second;
  size_t step;
  size_t count;
  const float* cosines;
  const float* sines;
};

inline constexpr size_t kDTypeSlots = 40;  // GGUF's numbers of the dtypes we know are below

struct CpuKernels {
  using Dequantise = void (*)(const std::byte* row, float* out, size_t columns);
  using MatmulRows = void (*)(const MatmulTask& task, size_t first_row, size_t end_row);

  using StoreKv = void (*)(const float* from, std::byte* to, size_t count);

  std::string_view name;

  void (*rms_norm)(const float* x, const float* weight, float epsilon, float* y, size_t count);
  void (*quantise)(const float* x, size_t columns, const PreparedToken<std::byte>& out);
  // quantise of what rms_norm gives.
  void (*norm_quantise)(const float* x, const float* weight, float epsilon, size_t columns,
                        const PreparedToken<std::byte>& out);
  std::array<Dequantise, kDTypeSlots> dequantise = {};
  std::array<MatmulRows, kDTypeSlots> matmul = {};
  std::array<bool, kDTypeSlots> interleaved = {};  // whether matmul takes that form, and is faster
  InterleaveWords interleave_words = ops::interleave_words;
  void (*rope)(const RopePairs& pairs);
  // One head's key or value on its way into a cache of the dtype.
  std::array<StoreKv, kDTypeSlots> store_kv = {};
  // Query rows [first, end) of one KV head; row i is head i % group of token i / group.
  void (*attention)(const AttentionTask& task, size_t kv_head, size_t first, size_t end);
  // Writes sums [heads, task.sums_floats()].
  void (*attend_chunk)(const PartTask& task, const KvStretch& chunk, float* sums);
  void (*swiglu)(float* gate, const float* up, size_t count);
  void (*geglu)(float* gate, const float* up, size_t count);
  void (*soft_cap)(float* x, float cap, size_t count);
  void (*scale)(float* x, float factor, size_t count);
  void (*add)(float* x, const float* y, size_t count);
  void (*softmax)(float* x, size_t count);
};

constexpr size_t slot(DType dtype) {
  return static_cast<size_t>(dtype);
}

// Whether the left side of its matmul is 8-bit integers.
constexpr bool is_quantised(DType dtype) {
  return dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16;
}

}  // namespace spillway::ops::cpu
