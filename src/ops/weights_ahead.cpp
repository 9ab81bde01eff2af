#include "ops/weights_ahead.h"

#include <algorithm>

namespace spillway::ops {
namespace {

constexpr size_t kPieceBytes = 32 << 10;  // of a thread
constexpr size_t kMostBytes = 1 << 20;    // of a thread: half of what a core's second level holds
constexpr size_t kLineBytes = 64;
constexpr size_t kMostFollowers = 4096;

}  // namespace

// By prefetches: they touch no memory that is gone. Each thread brings the beginning of what is to
// be its own part of the product.
bool WeightsAhead::bring(const WeightRows& weight) {
  if (weight.data != coming_) {
    coming_ = weight.data;
    pieces_ = 0;
  }
  const size_t bytes = weight.rows * row_bytes(weight.dtype, weight.columns);
  const size_t threads = pool_.threads();
  const size_t first = pieces_ * kPieceBytes;
  if (first >= std::min(kMostBytes, bytes / threads)) return false;
  ++pieces_;
  pool_.run(threads, 1, [&](size_t begin, size_t end) {
    for (size_t thread = begin; thread < end; ++thread) {
      const size_t from = bytes * thread / threads + first;
      const size_t to = std::min(from + kPieceBytes, bytes * (thread + 1) / threads);
      for (size_t at = from; at < to; at += kLineBytes) __builtin_prefetch(weight.data + at, 0, 2);
    }
  });
  return true;
}

bool WeightsAhead::bring_expected() {
  const auto expected = followers_.find(last_);
  return expected != followers_.end() && bring(expected->second);
}

void WeightsAhead::use(const WeightRows& weight) {
  if (followers_.size() >= kMostFollowers) followers_.clear();
  followers_.insert_or_assign(last_, weight);
  last_ = weight.data;
  coming_ = nullptr;
}

}  // namespace spillway::ops
