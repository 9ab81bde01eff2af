// Cosines and sines of one position's rotations. Computed in double: at position 100,000 a float
// angle is off by a hundredth. Values; RopeMemo belongs to one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>

#include "ops/ops.h"

namespace spillway::ops::cpu {

// By how much pairs turn per position.
struct RopeFrequencies {
  static constexpr size_t kMost = 64;  // pairs at a time

  size_t first;
  size_t count;
  size_t dims;
  double base;
  double scale;      // of positions
  double magnitude;  // of the rotated pairs
  std::array<double, kMost> frequencies;
  std::array<double, kMost> divisors;

  // The pairs [first, min(first + kMost, dims / 2)).
  RopeFrequencies(const RopeOptions& options, size_t first_pair)
      : first(first_pair),
        count(std::min(kMost, options.dims / 2 - first)),
        dims(options.dims),
        base(options.base),
        scale(options.position_scale),
        magnitude(options.magnitude) {
    for (size_t i = 0; i < count; ++i) {
      const size_t pair = first + i;
      const double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(options.dims);
      frequencies[i] = std::pow(options.base, exponent);
      divisors[i] = divisor(options, pair);
    }
  }

  // Whether they are those of the options' pairs from `first` on.
  bool of(const RopeOptions& options, size_t first_pair) const {
    if (first != first_pair || dims != options.dims || base != options.base ||
        scale != options.position_scale || magnitude != options.magnitude) {
      return false;
    }
    for (size_t i = 0; i < count; ++i)
      if (divisors[i] != divisor(options, first + i)) return false;
    return true;
  }

 private:
  static double divisor(const RopeOptions& options, size_t pair) {
    return options.factors.empty() ? 1.0 : static_cast<double>(options.factors[pair]);
  }
};

// The same pairs at one position.
struct RopeAngles {
  std::array<float, RopeFrequencies::kMost> cosines;
  std::array<float, RopeFrequencies::kMost> sines;

  RopeAngles(const RopeFrequencies& pairs, size_t position) {
    const double scaled = static_cast<double>(position) * pairs.scale;
    for (size_t i = 0; i < pairs.count; ++i) {
      const double angle = scaled * pairs.frequencies[i] / pairs.divisors[i];
      cosines[i] = static_cast<float>(std::cos(angle) * pairs.magnitude);
      sines[i] = static_cast<float>(std::sin(angle) * pairs.magnitude);
    }
  }
};

// The last frequencies and angles: a token's queries and keys turn alike in most layers, and
// raising to powers takes longer than turning.
class RopeMemo {
 public:
  // Of the pairs from `first` on.
  const RopeFrequencies& frequencies(const RopeOptions& options, size_t first) {
    if (!pairs_ || !pairs_->of(options, first)) {
      pairs_.emplace(options, first);
      angles_.reset();
    }
    return *pairs_;
  }
  // At a position, by those frequencies.
  const RopeAngles& angles(size_t position) {
    if (!angles_ || position_ != position) angles_.emplace(*pairs_, position);
    position_ = position;
    return *angles_;
  }

 private:
  std::optional<RopeFrequencies> pairs_;
  std::optional<RopeAngles> angles_;
  size_t position_ = 0;
};

}  // namespace spillway::ops::cpu
