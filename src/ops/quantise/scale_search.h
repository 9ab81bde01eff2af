// Scales for a group of weights that make the square error small: codes follow from a scale, the
// best scale for those codes from least squares, and a few first scales are tried. Pure functions;
// any thread. The method is that of llama.cpp's K-quants (its pull request 1684).
#pragma once

#include <span>

namespace spillway::ops {

// weight ≈ scale × code − minimum, code 0 … most; minimum ≥ 0.
struct AffineScale {
  float scale = 0.0F;
  float minimum = 0.0F;
};

// First scales are range / (most + first + i × step), i = 0 … steps.
struct ScaleSteps {
  float first;
  float step;
  int steps;
};

// Errors weigh as |x| plus the root mean square of the group.
AffineScale search_affine_scale(std::span<const float> x, int most, const ScaleSteps& steps);

// weight ≈ scale × code, code −half … half − 1. Errors weigh as x².
float search_symmetric_scale(std::span<const float> x, int half);

}  // namespace spillway::ops
