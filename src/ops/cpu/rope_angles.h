// Cosines and sines of one position's rotations. Computed in double: at position 100,000 a float
// angle is off by a hundredth. A value on the stack of whoever turns; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "ops/ops.h"

namespace spillway::ops::cpu {

// By how much pairs turn per position.
struct RopeFrequencies {
  static constexpr size_t kMost = 64;  // pairs at a time

  size_t count;
  double scale;      // of positions
  double magnitude;  // of the rotated pairs
  std::array<double, kMost> frequencies;
  std::array<double, kMost> divisors;

  // The pairs [first, min(first + kMost, dims / 2)).
  RopeFrequencies(const RopeOptions& options, size_t first)
      : count(std::min(kMost, options.dims / 2 - first)),
        scale(options.position_scale),
        magnitude(options.magnitude) {
    for (size_t i = 0; i < count; ++i) {
      const size_t pair = first + i;
      const double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(options.dims);
      frequencies[i] = std::pow(options.base, exponent);
      divisors[i] = options.factors.empty() ? 1.0 : static_cast<double>(options.factors[pair]);
    }
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

}  // namespace spillway::ops::cpu
