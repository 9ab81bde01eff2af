// Attention of one token over a chunk of tokens whose keys and values are read once, from memory:
// in the order in which they lie, a few tokens of all heads together, so that the processor
// foresees what comes. Segments of 64 tokens are weighed together.
#include "ops/cpu/simd/kernels.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/attend_chunk.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/simd/attention_segment-inl.h"
#include "ops/cpu/simd/for_target.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

constexpr size_t kPartRows = kMostPartGroup;  // query heads that are computed together, at least
constexpr size_t kTokensAtOnce = 8;           // whose values are added up before sums are stored

constexpr size_t kLineBytes = 64;

// Some KV heads, and their query heads.
struct Heads {
  size_t first;
  size_t count;
  size_t group;
  Row rows[kPartRows];
  Weights weights[kPartRows];
};

// Calls body for up to kRowsAtOnce of a KV head's rows at a time, with their number as a constant.
template <class Body>
HWY_INLINE void for_rows(size_t group, const Body& body) {
  size_t r = 0;
  for (; r + kRowsAtOnce <= group; r += kRowsAtOnce)
    body(r, std::integral_constant<size_t, kRowsAtOnce>());
  for (; r < group; ++r) body(r, std::integral_constant<size_t, 1>());
}

// Scores of `count` tokens from `keys` on, which is the first token's first head.
template <DType kType>
void score(const PartTask& task, const std::byte* keys, size_t count, Heads& heads) {
  const size_t dim = task.part.head_dim;
  const size_t head_bytes = dim * kElementBytes<kType>;
  const size_t stride = task.token_bytes();
  for (size_t p = 0; p < count; p += 4) {
    for (size_t h = 0; h < heads.count; ++h) {
      const std::byte* four[4];  // those behind the last are junk
      HWY_UNROLL(4)
      for (size_t k = 0; k < 4; ++k) {
        four[k] = keys + HWY_MIN(p + k, count - 1) * stride + (heads.first + h) * head_bytes;
        for (size_t at = 0; at < head_bytes; at += kLineBytes)
          hwy::Prefetch(four[k] + 4 * stride + at);
      }
      for_rows(heads.group, [&](size_t r, auto rows) HWY_ATTR {
        const size_t at = h * heads.group + r;
        score_four<kType, rows>(heads.rows + at, four, p, dim, heads.weights + at);
      });
    }
  }
}

// Values of `count` tokens of a head, `stride` bytes apart, whose weights begin at p.
struct Values {
  const std::byte* first;
  size_t stride;
  size_t p;
  size_t count;
};

// out[i … i + kVectors × lanes) = out × factor + Σ weights × values, the factor only once.
template <DType kType, size_t kRows, size_t kVectors>
HWY_INLINE void add_some(const Row* rows, const Weights* w, const Values& values, size_t i) {
  const Floats df;
  const size_t lanes = hn::Lanes(df);
  Vector sums[kRows][kVectors];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (size_t v = 0; v < kVectors; ++v) {
      sums[r][v] = hn::LoadU(df, rows[r].out + i + v * lanes);
      if (values.p == 0) sums[r][v] = hn::Mul(sums[r][v], hn::Set(df, w[r].factor));
    }
  }
  const std::byte* from = values.first;
  for (size_t t = 0; t < values.count; ++t, from += values.stride) {
    HWY_UNROLL(4)
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t at = (i + v * lanes) * kElementBytes<kType>;
      if (at % kLineBytes == 0) hwy::Prefetch(from + kTokensAtOnce * values.stride + at);
      const Vector value = load_row<kType>(df, from, i + v * lanes);
      HWY_UNROLL(4)
      for (size_t r = 0; r < kRows; ++r)
        sums[r][v] = hn::MulAdd(hn::Set(df, w[r].weights[values.p + t]), value, sums[r][v]);
    }
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(sums[r][v], df, rows[r].out + i + v * lanes);
  }
}

// The same of the last dimensions, fewer than lanes.
template <DType kType>
void add_last(const Row& row, const Weights& w, const Values& values, size_t i, size_t rest) {
  const Floats df;
  Vector sum = load_part(df, row.out + i, rest);
  if (values.p == 0) sum = hn::Mul(sum, hn::Set(df, w.factor));
  const std::byte* from = values.first;
  for (size_t t = 0; t < values.count; ++t, from += values.stride) {
    const Vector value = load_row_part<kType>(df, from, i, rest);
    sum = hn::MulAdd(hn::Set(df, w.weights[values.p + t]), value, sum);
  }
  store_part(df, sum, row.out + i, rest);
}

template <DType kType>
void add_values_of(const PartTask& task, const std::byte* from, size_t count, Heads& heads) {
  const size_t dim = task.part.head_dim;
  const size_t lanes = hn::Lanes(Floats());
  Values values{nullptr, task.token_bytes(), 0, 0};
  for (; values.p < count; values.p += kTokensAtOnce) {
    values.count = HWY_MIN(kTokensAtOnce, count - values.p);
    for (size_t h = 0; h < heads.count; ++h) {
      values.first =
          from + values.p * values.stride + (heads.first + h) * dim * kElementBytes<kType>;
      for_rows(heads.group, [&](size_t r, auto number) HWY_ATTR {
        const Row* rows = heads.rows + h * heads.group + r;
        const Weights* w = heads.weights + h * heads.group + r;
        size_t i = 0;
        for (; i + 4 * lanes <= dim; i += 4 * lanes) add_some<kType, number, 4>(rows, w, values, i);
        for (; i + lanes <= dim; i += lanes) add_some<kType, number, 1>(rows, w, values, i);
        for (size_t k = 0; i < dim && k < number; ++k)
          add_last<kType>(rows[k], w[k], values, i, dim - i);
      });
    }
  }
}

template <DType kType>
void attend_heads(const PartTask& task, const KvStretch& chunk, Heads& heads, float* sums) {
  const size_t dim = task.part.head_dim;
  const size_t count = heads.count * heads.group;
  const AttentionOptions options{.scale = task.scale};
  for (size_t r = 0; r < count; ++r) {
    const size_t head = heads.first * heads.group + r;
    float* out = sums + head * task.sums_floats();
    for (size_t i = 0; i < dim; ++i) out[i] = 0.0F;
    heads.rows[r] = {task.q + head * dim, out, 0, kSegment, hwy::LowestValue<float>(), 0.0F};
  }
  for (size_t token = 0; token < chunk.tokens; token += kSegment) {
    const size_t tokens = HWY_MIN(kSegment, chunk.tokens - token);
    const size_t offset = token * task.token_bytes();
    score<kType>(task, chunk.keys + offset, tokens, heads);
    for (size_t r = 0; r < count; ++r) {
      heads.weights[r].first = 0;
      heads.weights[r].count = tokens;
      weigh(heads.rows[r], heads.weights[r], options);
    }
    add_values_of<kType>(task, chunk.values + offset, tokens, heads);
  }
  for (size_t r = 0; r < count; ++r) {
    heads.rows[r].out[dim] = heads.rows[r].largest;
    heads.rows[r].out[dim + 1] = heads.rows[r].total;
  }
}

template <DType kType>
void attend_heads_in_turn(const PartTask& task, const KvStretch& chunk, float* sums) {
  Heads heads;
  heads.group = task.group();
  const size_t together = kPartRows / heads.group;
  for (heads.first = 0; heads.first < task.part.kv_heads; heads.first += together) {
    heads.count = HWY_MIN(together, task.part.kv_heads - heads.first);
    attend_heads<kType>(task, chunk, heads, sums);
  }
}

void attend_chunk(const PartTask& task, const KvStretch& chunk, float* sums) {
  switch (task.part.dtype) {
    case DType::kF16:
      return attend_heads_in_turn<DType::kF16>(task, chunk, sums);
    case DType::kBF16:
      return attend_heads_in_turn<DType::kBF16>(task, chunk, sums);
    default:
      return attend_heads_in_turn<DType::kF32>(task, chunk, sums);
  }
}

void fill_attend_chunk(CpuKernels& kernels) {
  kernels.attend_chunk = attend_chunk;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_attend_chunk);
void simd::set_attend_chunk(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_attend_chunk), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
