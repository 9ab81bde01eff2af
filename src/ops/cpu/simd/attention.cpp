// Attention over the paged cache in one pass (online softmax; Milakov & Gimelshein 2018): positions
// come in segments of 64 that stay in the first-level cache while several query rows use them. A
// row sees the same segments in the same order whatever rows are computed beside it.
#include "ops/cpu/simd/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/simd/attention.cpp"
#include "hwy/foreach_target.h"  // compiles this file once per target
#include "hwy/highway.h"
// After it:
#include "hwy/contrib/math/math-inl.h"
#include "ops/cpu/kv_rows.h"
#include "ops/cpu/simd/for_target.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

constexpr size_t kSegment = 64;  // positions
constexpr size_t kMostRows = 16;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

// Where the keys and values of up to kSegment positions lie.
struct Segment {
  size_t first;
  const std::byte* keys[kSegment];
  const std::byte* values[kSegment];
};

// One query head of one token, and its softmax so far.
struct Row {
  const float* q;
  float* out;        // Σ weight × value so far, then divided by total
  size_t positions;  // that it may see
  float largest;
  float total;
};

// Products of the query with kKeys keys.
template <DType kType, size_t kKeys>
HWY_INLINE void scores_of(const float* q, const std::byte* const* keys, size_t dim, float scale,
                          float* scores) {
  const Floats df;
  Vector sums[kKeys];
  for (size_t k = 0; k < kKeys; ++k) sums[k] = hn::Zero(df);
  size_t i = 0;
  for (; i + hn::Lanes(df) <= dim; i += hn::Lanes(df)) {
    const Vector query = hn::LoadU(df, q + i);
    for (size_t k = 0; k < kKeys; ++k) {
      const Vector key = load_floats<kType>(df, keys[k] + i * kElementBytes<kType>);
      sums[k] = hn::MulAdd(query, key, sums[k]);
    }
  }
  if (i < dim) {
    const Vector query = load_part(df, q + i, dim - i);
    for (size_t k = 0; k < kKeys; ++k) {
      const std::byte* from = keys[k] + i * kElementBytes<kType>;
      sums[k] = hn::MulAdd(query, load_floats_part<kType>(df, from, dim - i), sums[k]);
    }
  }
  for (size_t k = 0; k < kKeys; ++k) scores[k] = sum_of(df, sums[k]) * scale;
}

// Turns `count` scores into weights relative to the row's largest so far, and returns what the
// earlier sums are to be multiplied with.
HWY_INLINE float weigh(Row& row, float* scores, size_t count) {
  const Floats df;
  float largest = row.largest;
  for (size_t p = 0; p < count; ++p) largest = scores[p] > largest ? scores[p] : largest;
  Vector total = hn::Zero(df);
  for (size_t p = 0; p < count; p += hn::Lanes(df)) {
    const Vector e = hn::Exp(df, hn::Sub(hn::Load(df, scores + p), hn::Set(df, largest)));
    const Vector weights = hn::IfThenElseZero(hn::FirstN(df, count - p), e);
    total = hn::Add(total, weights);
    hn::Store(weights, df, scores + p);
  }
  const float before = row.largest;
  row.largest = largest;
  const float shift = before - largest;
  const float factor = hn::GetLane(hn::Exp(df, hn::Set(df, shift)));
  row.total = row.total * factor + sum_of(df, total);
  return factor;
}

// out[i … i + kVectors × lanes) = out × factor + Σ weights × values.
template <DType kType, size_t kVectors>
HWY_INLINE void add_values(float* out, const Segment& segment, size_t i, float factor,
                           const float* weights, size_t count) {
  const Floats df;
  const size_t lanes = hn::Lanes(df);
  Vector sums[kVectors];
  for (size_t v = 0; v < kVectors; ++v)
    sums[v] = hn::Mul(hn::LoadU(df, out + i + v * lanes), hn::Set(df, factor));
  for (size_t p = 0; p < count; ++p) {
    const Vector weight = hn::Set(df, weights[p]);
    for (size_t v = 0; v < kVectors; ++v) {
      const std::byte* from = segment.values[p] + (i + v * lanes) * kElementBytes<kType>;
      sums[v] = hn::MulAdd(weight, load_floats<kType>(df, from), sums[v]);
    }
  }
  for (size_t v = 0; v < kVectors; ++v) hn::StoreU(sums[v], df, out + i + v * lanes);
}

template <DType kType>
void add_last_values(float* out, const Segment& segment, size_t i, size_t rest, float factor,
                     const float* weights, size_t count) {
  const Floats df;
  Vector sum = hn::Mul(load_part(df, out + i, rest), hn::Set(df, factor));
  for (size_t p = 0; p < count; ++p) {
    const std::byte* from = segment.values[p] + i * kElementBytes<kType>;
    sum = hn::MulAdd(hn::Set(df, weights[p]), load_floats_part<kType>(df, from, rest), sum);
  }
  store_part(df, sum, out + i, rest);
}

template <DType kType>
void attend_segment(Row& row, const Segment& segment, size_t dim, float scale) {
  if (row.positions <= segment.first) return;
  const size_t count = HWY_MIN(kSegment, row.positions - segment.first);
  alignas(64) float scores[kSegment] = {};
  size_t p = 0;
  for (; p + 4 <= count; p += 4)
    scores_of<kType, 4>(row.q, segment.keys + p, dim, scale, scores + p);
  for (; p < count; ++p) scores_of<kType, 1>(row.q, segment.keys + p, dim, scale, scores + p);
  const float factor = weigh(row, scores, count);

  const size_t lanes = hn::Lanes(Floats());
  size_t i = 0;
  for (; i + 4 * lanes <= dim; i += 4 * lanes)
    add_values<kType, 4>(row.out, segment, i, factor, scores, count);
  for (; i + lanes <= dim; i += lanes)
    add_values<kType, 1>(row.out, segment, i, factor, scores, count);
  if (i < dim) add_last_values<kType>(row.out, segment, i, dim - i, factor, scores, count);
}

Row start_row(const AttentionTask& task, size_t kv_head, size_t index) {
  const size_t dim = task.layer.head_dim;
  const size_t token = index / task.group();
  const size_t head = kv_head * task.group() + index % task.group();
  const size_t at = (token * task.heads + head) * dim;
  for (size_t i = 0; i < dim; ++i) task.out[at + i] = 0.0F;
  // The lowest float instead of an infinity: differences stay numbers.
  return {task.q + at, task.out + at, task.first_position + token + 1, hwy::LowestValue<float>(),
          0.0F};
}

// Up to kMostRows rows.
template <DType kType>
void attend_rows(const AttentionTask& task, size_t kv_head, size_t first, size_t end) {
  const size_t dim = task.layer.head_dim;
  Row rows[kMostRows];
  for (size_t i = first; i < end; ++i) rows[i - first] = start_row(task, kv_head, i);
  const size_t positions = task.first_position + (end - 1) / task.group() + 1;  // of the last row
  Segment segment;
  for (segment.first = 0; segment.first < positions; segment.first += kSegment) {
    for (size_t p = 0; p < HWY_MIN(kSegment, positions - segment.first); ++p) {
      segment.keys[p] = key_row(task.layer, kv_head, segment.first + p);
      segment.values[p] = value_row(task.layer, kv_head, segment.first + p);
    }
    for (size_t i = first; i < end; ++i)
      attend_segment<kType>(rows[i - first], segment, dim, task.scale);
  }
  for (size_t i = first; i < end; ++i) {
    const Row& row = rows[i - first];
    const float inverse = 1.0F / row.total;
    for (size_t k = 0; k < dim; ++k) row.out[k] *= inverse;
  }
}

void attention(const AttentionTask& task, size_t kv_head, size_t first, size_t end) {
  const auto attend =
      task.layer.dtype == DType::kF16 ? attend_rows<DType::kF16> : attend_rows<DType::kF32>;
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
