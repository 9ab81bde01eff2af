// Attention of some query rows over one segment of positions: scores, then softmax so far (online;
// Milakov & Gimelshein 2018), then values. Compiled once per target, within foreach_target.
#if defined(SPILLWAY_OPS_CPU_SIMD_ATTENTION_SEGMENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPILLWAY_OPS_CPU_SIMD_ATTENTION_SEGMENT_INL_H_
#undef SPILLWAY_OPS_CPU_SIMD_ATTENTION_SEGMENT_INL_H_
#else
#define SPILLWAY_OPS_CPU_SIMD_ATTENTION_SEGMENT_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
// After it:
#include "hwy/contrib/math/math-inl.h"
#include "ops/cpu/simd/attention_scores-inl.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

HWY_INLINE auto seen_from(Floats df, const Weights& w, size_t p) {
  const auto before_first = hn::FirstN(df, w.first - HWY_MIN(w.first, p));
  return hn::AndNot(before_first, hn::FirstN(df, w.count - p));
}

// Turns a row's scores into weights relative to its largest so far. A segment of which the row sees
// nothing changes nothing.
HWY_INLINE void weigh(Row& row, Weights& w, const AttentionOptions& options) {
  const Floats df;
  const size_t lanes = hn::Lanes(df);
  Vector highest = hn::Set(df, row.largest);
  for (size_t p = 0; p < w.count; p += lanes) {
    Vector scores = hn::Mul(hn::Load(df, w.weights + p), hn::Set(df, options.scale));
    if (options.soft_cap > 0.0F) {
      const Vector cap = hn::Set(df, options.soft_cap);
      scores = hn::Mul(cap, hn::Tanh(df, hn::Div(scores, cap)));
    }
    const auto seen = seen_from(df, w, p);
    highest = hn::Max(highest, hn::IfThenElse(seen, scores, highest));
    hn::Store(scores, df, w.weights + p);
  }
  const Vector largest = hn::MaxOfLanes(df, highest);
  Vector total = hn::Zero(df);
  for (size_t p = 0; p < w.count; p += lanes) {
    const Vector e = hn::Exp(df, hn::Sub(hn::Load(df, w.weights + p), largest));
    const Vector weights = hn::IfThenElseZero(seen_from(df, w, p), e);
    total = hn::Add(total, weights);
    hn::Store(weights, df, w.weights + p);
  }
  w.factor = hn::GetLane(hn::Exp(df, hn::Sub(hn::Set(df, row.largest), largest)));
  row.largest = hn::GetLane(largest);
  row.total = row.total * w.factor + sum_of(df, total);
}

template <size_t kRows>
HWY_INLINE size_t common_count(const Weights* w) {
  size_t count = w[0].count;
  HWY_UNROLL(4)
  for (size_t r = 1; r < kRows; ++r) count = HWY_MIN(count, w[r].count);
  return count;
}

// out[i … i + kVectors × lanes) = out × factor + Σ weights × values, for kRows rows.
template <DType kType, size_t kRows, size_t kVectors>
HWY_INLINE void add_values(const Row* rows, const Segment& segment, size_t i, const Weights* w) {
  const Floats df;
  const size_t lanes = hn::Lanes(df);
  Vector sums[kRows][kVectors];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (size_t v = 0; v < kVectors; ++v) {
      const Vector before = hn::LoadU(df, rows[r].out + i + v * lanes);
      sums[r][v] = hn::Mul(before, hn::Set(df, w[r].factor));
    }
  }
  const size_t common = common_count<kRows>(w);
  for (size_t p = 0; p < common; ++p) {
    HWY_UNROLL(4)
    for (size_t v = 0; v < kVectors; ++v) {
      const Vector value = load_row<kType>(df, segment.values[p], i + v * lanes);
      HWY_UNROLL(4)
      for (size_t r = 0; r < kRows; ++r)
        sums[r][v] = hn::MulAdd(hn::Set(df, w[r].weights[p]), value, sums[r][v]);
    }
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t p = common; p < w[r].count; ++p) {  // later tokens see a few positions more
      HWY_UNROLL(4)
      for (size_t v = 0; v < kVectors; ++v) {
        const Vector value = load_row<kType>(df, segment.values[p], i + v * lanes);
        sums[r][v] = hn::MulAdd(hn::Set(df, w[r].weights[p]), value, sums[r][v]);
      }
    }
    HWY_UNROLL(4)
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(sums[r][v], df, rows[r].out + i + v * lanes);
  }
}

// The dimensions from i on, fewer than lanes.
template <DType kType>
void add_last_values(const Row& row, const Segment& segment, size_t i, size_t rest,
                     const Weights& w) {
  const Floats df;
  Vector sum = hn::Mul(load_part(df, row.out + i, rest), hn::Set(df, w.factor));
  for (size_t p = 0; p < w.count; ++p) {
    const Vector value = load_row_part<kType>(df, segment.values[p], i, rest);
    sum = hn::MulAdd(hn::Set(df, w.weights[p]), value, sum);
  }
  store_part(df, sum, row.out + i, rest);
}

template <DType kType, size_t kRows>
void attend_segment(Row* rows, const Segment& segment, size_t dim,
                    const AttentionOptions& options) {
  Weights w[kRows];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    w[r].first = rows[r].begin - HWY_MIN(rows[r].begin, segment.first);
    w[r].count = HWY_MIN(rows[r].end - HWY_MIN(rows[r].end, segment.first), segment.count);
  }
  if (segment.transposed != nullptr) {
    for (size_t p = 0; p < segment.count; p += hn::Lanes(Floats()))
      score_lanes<kRows>(rows, *segment.transposed, p, dim, w);
  } else {
    for (size_t p = 0; p < segment.count; p += 4) {
      const std::byte* four[4];  // those behind the segment's last are junk
      HWY_UNROLL(4)
      for (size_t k = 0; k < 4; ++k) four[k] = segment.keys[HWY_MIN(p + k, segment.count - 1)];
      score_four<kType, kRows>(rows, four, p, dim, w);
    }
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) weigh(rows[r], w[r], options);

  const size_t lanes = hn::Lanes(Floats());
  size_t i = 0;
  for (; i + 4 * lanes <= dim; i += 4 * lanes) add_values<kType, kRows, 4>(rows, segment, i, w);
  for (; i + lanes <= dim; i += lanes) add_values<kType, kRows, 1>(rows, segment, i, w);
  if (i < dim) {
    HWY_UNROLL(4)
    for (size_t r = 0; r < kRows; ++r) add_last_values<kType>(rows[r], segment, i, dim - i, w[r]);
  }
}

// Up to kRowsAtOnce rows.
template <DType kType>
void attend_some(Row* rows, size_t count, const Segment& segment, size_t dim,
                 const AttentionOptions& options) {
  if constexpr (kRowsAtOnce >= 4) {
    if (count == 4) return attend_segment<kType, 4>(rows, segment, dim, options);
    if (count == 3) return attend_segment<kType, 3>(rows, segment, dim, options);
  }
  if (count == 2) return attend_segment<kType, 2>(rows, segment, dim, options);
  attend_segment<kType, 1>(rows, segment, dim, options);
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
