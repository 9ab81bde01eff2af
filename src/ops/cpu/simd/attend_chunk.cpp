// Attention of one token over a chunk of tokens whose keys and values are read once, from memory:
// segment by segment, in the order in which they lie, for all heads together.
#include "ops/cpu/simd/kernels.h"

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
constexpr size_t kSegmentBytes = 128 << 10;   // of keys and values: two of them fit into any L2
constexpr size_t kLineBytes = 64;

// Tokens of a segment.
size_t segment_tokens(const PartTask& task) {
  const size_t fit = kSegmentBytes / (2 * task.token_bytes()) / 4 * 4;
  return HWY_MIN(HWY_MAX(fit, 4), kSegment);
}

// A head's rows lie too far apart for the processor to foresee them, so what comes is asked for:
// while the n-th of `parts` heads is computed, the n-th part of the next segment's bytes.
void prefetch(const PartTask& task, const KvStretch& next, size_t part, size_t parts) {
  const size_t bytes = next.tokens * task.token_bytes();
  const size_t end = bytes * (part + 1) / parts;
  for (size_t at = bytes * part / parts; at < end; at += kLineBytes) {
    hwy::Prefetch(next.keys + at);
    hwy::Prefetch(next.values + at);
  }
}

void find_tokens(const PartTask& task, const KvStretch& tokens, size_t kv_head, Segment& segment) {
  const size_t offset = kv_head * row_bytes(task.part.dtype, task.part.head_dim);
  const size_t stride = task.token_bytes();
  segment.first = 0;
  segment.count = tokens.tokens;
  for (size_t t = 0; t < tokens.tokens; ++t) {
    segment.keys[t] = tokens.keys + offset + t * stride;
    segment.values[t] = tokens.values + offset + t * stride;
  }
}

KvStretch segment_at(const PartTask& task, const KvStretch& chunk, size_t first) {
  const size_t offset = first * task.token_bytes();
  return {chunk.keys + offset, chunk.values + offset,
          HWY_MIN(segment_tokens(task), chunk.tokens - first)};
}

// KV heads [first, end), of kPartRows query heads at most.
template <DType kType>
void attend_heads(const PartTask& task, const KvStretch& chunk, size_t first, size_t end,
                  float* sums) {
  const size_t dim = task.part.head_dim;
  const size_t group = task.group();
  const size_t count = (end - first) * group;
  const AttentionOptions options{.scale = task.scale};
  Row rows[kPartRows];
  for (size_t r = 0; r < count; ++r) {
    const size_t head = first * group + r;
    float* out = sums + head * task.sums_floats();
    for (size_t i = 0; i < dim; ++i) out[i] = 0.0F;
    rows[r] = {task.q + head * dim, out, 0, kSegment, hwy::LowestValue<float>(), 0.0F};
  }
  Segment segment;
  const size_t step = segment_tokens(task);
  if (first == 0) prefetch(task, segment_at(task, chunk, 0), 0, 1);
  for (size_t token = 0; token < chunk.tokens; token += step) {
    const KvStretch tokens = segment_at(task, chunk, token);
    for (size_t kv_head = first; kv_head < end; ++kv_head) {
      if (first == 0 && token + step < chunk.tokens)
        prefetch(task, segment_at(task, chunk, token + step), kv_head, end);
      find_tokens(task, tokens, kv_head, segment);
      Row* const its = rows + (kv_head - first) * group;
      for (size_t r = 0; r < group; r += kRowsAtOnce) {
        const size_t some = HWY_MIN(kRowsAtOnce, group - r);
        attend_some<kType>(its + r, some, segment, nullptr, dim, options);
      }
    }
  }
  for (size_t r = 0; r < count; ++r) {
    rows[r].out[dim] = rows[r].largest;
    rows[r].out[dim + 1] = rows[r].total;
  }
}

template <DType kType>
void attend_heads_in_turn(const PartTask& task, const KvStretch& chunk, float* sums) {
  const size_t together = kPartRows / task.group();
  for (size_t first = 0; first < task.part.kv_heads; first += together) {
    const size_t end = HWY_MIN(first + together, task.part.kv_heads);
    attend_heads<kType>(task, chunk, first, end, sums);
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
