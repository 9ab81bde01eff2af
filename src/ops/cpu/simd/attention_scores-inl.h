// Scores of attention: products of query rows with the keys of a segment of positions, either with
// the keys as they lie or with keys that were transposed first. Both add a product up in the same
// order. Compiled once per target, within foreach_target.
#if defined(SPILLWAY_OPS_CPU_SIMD_ATTENTION_SCORES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPILLWAY_OPS_CPU_SIMD_ATTENTION_SCORES_INL_H_
#undef SPILLWAY_OPS_CPU_SIMD_ATTENTION_SCORES_INL_H_
#else
#define SPILLWAY_OPS_CPU_SIMD_ATTENTION_SCORES_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"
#include "ops/cpu/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spillway::ops::cpu::HWY_NAMESPACE {
namespace {

inline constexpr size_t kSegment = 64;          // positions
inline constexpr size_t kMostTransposed = 128;  // dimensions
inline constexpr size_t kRowsAtOnce = kManyRegisters ? 4 : 2;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

struct TransposedKeys;

// Where the keys and values of `count` ≤ kSegment positions lie.
struct Segment {
  size_t first;
  size_t count;
  const std::byte* keys[kSegment];
  const std::byte* values[kSegment];
  const TransposedKeys* transposed;  // null where the keys are not
};

// One query head of one token, and its softmax so far.
struct Row {
  const float* q;
  float* out;    // Σ weight × value so far
  size_t begin;  // of the positions that it may see
  size_t end;
  float largest;
  float total;
};

// One row's way through one segment.
struct alignas(64) Weights {
  float weights[kSegment];  // scores at first
  size_t first;             // of the segment's positions that the row may see
  size_t count;             // up to the last of them
  float factor;             // of what the row has added up before
};

// Products of kRows queries with four keys, those at p.
template <DType kType, size_t kRows>
HWY_INLINE void score_four(const Row* rows, const std::byte* const (&keys)[4], size_t p, size_t dim,
                           Weights* w) {
  const Floats df;
  const size_t lanes = hn::Lanes(df);
  Vector sums[kRows][4];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (size_t k = 0; k < 4; ++k) sums[r][k] = hn::Zero(df);
  }
  size_t i = 0;
  for (; i + lanes <= dim; i += lanes) {
    HWY_UNROLL(4)
    for (size_t k = 0; k < 4; ++k) {
      const Vector key = load_row<kType>(df, keys[k], i);
      HWY_UNROLL(4)
      for (size_t r = 0; r < kRows; ++r)
        sums[r][k] = hn::MulAdd(hn::LoadU(df, rows[r].q + i), key, sums[r][k]);
    }
  }
  if (i < dim) {
    HWY_UNROLL(4)
    for (size_t k = 0; k < 4; ++k) {
      const Vector key = load_row_part<kType>(df, keys[k], i, dim - i);
      HWY_UNROLL(4)
      for (size_t r = 0; r < kRows; ++r)
        sums[r][k] = hn::MulAdd(load_part(df, rows[r].q + i, dim - i), key, sums[r][k]);
    }
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) store_sums(df, sums[r], w[r].weights + p);
}

// A segment's keys, [dim, position].
struct alignas(64) TransposedKeys {
  float keys[kMostTransposed][kSegment];
};

template <DType kType>
void transpose_keys(const Segment& segment, size_t dim, TransposedKeys& out) {
  const hn::CappedTag<float, 4> four;
  const hn::RepartitionToWide<decltype(four)> wide;
  for (size_t p = 0; p < segment.count; p += 4) {
    const std::byte* from[4];  // those behind the segment's last are junk
    HWY_UNROLL(4)
    for (size_t k = 0; k < 4; ++k) from[k] = segment.keys[HWY_MIN(p + k, segment.count - 1)];
    size_t i = 0;
    for (; i + 4 <= dim; i += 4) {
      const auto a = load_row<kType>(four, from[0], i);
      const auto b = load_row<kType>(four, from[1], i);
      const auto c = load_row<kType>(four, from[2], i);
      const auto d = load_row<kType>(four, from[3], i);
      const auto ab_low = hn::BitCast(wide, hn::InterleaveLower(four, a, b));
      const auto ab_high = hn::BitCast(wide, hn::InterleaveUpper(four, a, b));
      const auto cd_low = hn::BitCast(wide, hn::InterleaveLower(four, c, d));
      const auto cd_high = hn::BitCast(wide, hn::InterleaveUpper(four, c, d));
      const auto store = [&](size_t row, auto v) {
        hn::Store(hn::BitCast(four, v), four, out.keys[i + row] + p);
      };
      store(0, hn::InterleaveLower(wide, ab_low, cd_low));
      store(1, hn::InterleaveUpper(wide, ab_low, cd_low));
      store(2, hn::InterleaveLower(wide, ab_high, cd_high));
      store(3, hn::InterleaveUpper(wide, ab_high, cd_high));
    }
    for (; i < dim; ++i) {
      const hn::CappedTag<float, 1> one;
      HWY_UNROLL(4)
      for (size_t k = 0; k < 4; ++k)
        out.keys[i][p + k] = hn::GetLane(load_row_part<kType>(one, from[k], i, 1));
    }
  }
}

// Products of kRows queries with Lanes keys from p on, each added up as score_four and store_sums
// do: lane l of their vectors is the sum over dimensions l, l + Lanes, …
template <size_t kRows>
HWY_INLINE void score_lanes(const Row* rows, const TransposedKeys& keys, size_t p, size_t dim,
                            Weights* w) {
  const Floats df;
  const size_t lanes = hn::Lanes(df);
  Vector totals[kRows];
  for (size_t quarter = 0; quarter < lanes; quarter += 4) {
    Vector sums[kRows][4];
    HWY_UNROLL(4)
    for (size_t l = 0; l < 4; ++l) {
      HWY_UNROLL(4)
      for (size_t r = 0; r < kRows; ++r) sums[r][l] = hn::Zero(df);
      for (size_t i = quarter + l; i < dim; i += lanes) {
        const Vector key = hn::Load(df, keys.keys[i] + p);
        HWY_UNROLL(4)
        for (size_t r = 0; r < kRows; ++r)
          sums[r][l] = hn::MulAdd(hn::Set(df, rows[r].q[i]), key, sums[r][l]);
      }
    }
    HWY_UNROLL(4)
    for (size_t r = 0; r < kRows; ++r) {
      const Vector sum = hn::Add(hn::Add(sums[r][0], sums[r][2]), hn::Add(sums[r][1], sums[r][3]));
      totals[r] = quarter == 0 ? sum : hn::Add(totals[r], sum);
    }
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) hn::Store(totals[r], df, w[r].weights + p);
}

}  // namespace
}  // namespace spillway::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
