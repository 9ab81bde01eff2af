// Attention over the paged cache in one pass (online softmax; Milakov & Gimelshein 2018): positions
// come in segments of 64 that stay in the first-level cache while several query rows use them, up
// to four at once. A row sees the same segments in the same order, and is added up in the same
// order, whatever rows are computed beside it.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/attention.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "ops/cpu/kv_rows.h"
#include "ops/cpu/simd/attention_segment-inl.h"
#include "ops/cpu/simd/for_target.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

constexpr size_t kMostRows = 48;
constexpr size_t kManyRows = 12;  // from which on transposing pays

Row start_row(const AttentionTask& task, size_t kv_head, size_t index) {
  const size_t dim = task.layer.head_dim;
  const size_t token = index / task.group();
  const size_t head = kv_head * task.group() + index % task.group();
  const size_t at = (token * task.options.heads + head) * dim;
  for (size_t i = 0; i < dim; ++i) task.out[at + i] = 0.0F;
  // The lowest float instead of an infinity: differences stay numbers.
  return {task.q + at,
          task.out + at,
          task.first_seen(token),
          task.end_seen(token),
          hwy::LowestValue<float>(),
          0.0F};
}

HWY_INLINE void prefetch(const std::byte* begin, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(begin + i, 0, 2);
}

// Where the keys and values of the segment from `first` on lie, up to `positions`; they are called
// into the second-level cache.
void find_positions(const KvLayer& layer, size_t kv_head, size_t first, size_t positions,
                    Segment& segment) {
  const size_t row_size = row_bytes(layer.dtype, layer.head_dim);
  segment.first = first;
  segment.count = HWY_MIN(kSegment, positions - HWY_MIN(first, positions));
  for (size_t p = 0; p < segment.count;) {
    const size_t in_block = layer.block_tokens - (first + p) % layer.block_tokens;
    const size_t count = HWY_MIN(in_block, segment.count - p);  // of those in one block
    const std::byte* key = key_row(layer, kv_head, first + p);
    const std::byte* value = value_row(layer, kv_head, first + p);
    prefetch(key, count * row_size);
    prefetch(value, count * row_size);
    for (size_t i = 0; i < count; ++i) {
      segment.keys[p + i] = key + i * row_size;
      segment.values[p + i] = value + i * row_size;
    }
    p += count;
  }
}

// Up to kMostRows rows.
template <DType kType>
void attend_rows(const AttentionTask& task, size_t kv_head, size_t first, size_t end) {
  const size_t dim = task.layer.head_dim;
  Row rows[kMostRows];
  for (size_t i = first; i < end; ++i) rows[i - first] = start_row(task, kv_head, i);
  const size_t positions = rows[end - 1 - first].end;
  Segment segments[2];  // the one at hand, and the next
  TransposedKeys keys;
  const bool transposed = end - first >= kManyRows && dim <= kMostTransposed;
  const size_t begin = rows[0].begin / kSegment * kSegment;
  find_positions(task.layer, kv_head, begin, positions, segments[0]);
  for (size_t number = 0; begin + number * kSegment < positions; ++number) {
    Segment& segment = segments[number % 2];
    find_positions(task.layer, kv_head, segment.first + kSegment, positions,
                   segments[(number + 1) % 2]);
    segment.transposed = transposed ? &keys : nullptr;
    if (transposed) transpose_keys<kType>(segment, dim, keys);
    for (size_t i = 0; i < end - first; i += kRowsAtOnce) {
      const size_t count = HWY_MIN(kRowsAtOnce, end - first - i);
      attend_some<kType>(rows + i, count, segment, dim, task.options);
    }
  }
  for (size_t i = first; i < end; ++i) {
    const Row& row = rows[i - first];
    const float inverse = 1.0F / row.total;
    for (size_t k = 0; k < dim; ++k) row.out[k] *= inverse;
  }
}

decltype(&attend_rows<DType::kF32>) attend_rows_of(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return attend_rows<DType::kF16>;
    case DType::kBF16:
      return attend_rows<DType::kBF16>;
    case DType::kQ8_0:
      return attend_rows<DType::kQ8_0>;
    default:
      return attend_rows<DType::kF32>;
  }
}

void attention(const AttentionTask& task, size_t kv_head, size_t first, size_t end) {
  const auto attend = attend_rows_of(task.layer.dtype);
  for (; first < end; first += kMostRows)
    attend(task, kv_head, first, HWY_MIN(first + kMostRows, end));
}

void fill_attention(CpuKernels& kernels) {
  kernels.attention = attention;
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spillway::ops::cpu {
HWY_EXPORT(fill_attention);
void simd::set_attention(CpuKernels& kernels, int64_t target) {
  for_target(HWY_DISPATCH_TABLE(fill_attention), target)(kernels);
}
}  // namespace spillway::ops::cpu
#endif
