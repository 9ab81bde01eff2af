// Cosines and sines of one position's rotations. Computed in double: at position 100,000 a float
// angle is off by a hundredth. A value on the stack of whoever turns; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "ops/ops.h"

namespace spillway::ops::cpu {

struct RopeAngles {
  static constexpr size_t kMost = 64;  // pairs at a time

  size_t first;  // pair
  size_t count;
  std::array<float, kMost> cosines;
  std::array<float, kMost> sines;

  // The pairs [first, min(first + kMost, dims / 2)) at `position`.
  RopeAngles(const RopeOptions& options, size_t position, size_t first_pair) : first(first_pair) {
    count = std::min(kMost, options.dims / 2 - first);
    const double scaled = static_cast<double>(position) * options.position_scale;
    for (size_t i = 0; i < count; ++i) {
      const size_t pair = first + i;
      const double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(options.dims);
      double angle = scaled * std::pow(options.base, exponent);
      if (!options.factors.empty()) angle /= static_cast<double>(options.factors[pair]);
      cosines[i] = static_cast<float>(std::cos(angle) * options.magnitude);
      sines[i] = static_cast<float>(std::sin(angle) * options.magnitude);
    }
  }
};

}  // namespace spillway::ops::cpu
