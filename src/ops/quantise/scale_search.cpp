#include "ops/quantise/scale_search.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "ops/quantise/block_codes.h"

namespace spillway::ops {
namespace {

constexpr size_t kMostValues = 32;
constexpr float kTiny = 1e-15F;  // groups whose largest value is below are zeros

// Sums over a group, each product weighted.
struct Sums {
  float w = 0, x = 0, l = 0, xl = 0, l2 = 0;
};

class AffineSearch {
 public:
  AffineSearch(std::span<const float> x, int most) : x_(x), most_(most) {
    SPILLWAY_CHECK(x.size() <= kMostValues);
    float squares = 0;
    for (const float value : x) squares += value * value;
    const float mean = std::sqrt(squares / static_cast<float>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) weights_[i] = mean + std::abs(x[i]);
  }

  // Keeps what codes of this first scale lead to, if it is the best so far.
  void try_scale(float inverse, float low) {
    Sums sums;
    for (size_t i = 0; i < x_.size(); ++i) {
      const auto code = static_cast<float>(nearest_code(inverse * (x_[i] - low), 0, most_));
      const float w = weights_[i];
      codes_[i] = code;
      sums.w += w;
      sums.x += w * x_[i];
      sums.l += w * code;
      sums.xl += w * x_[i] * code;
      sums.l2 += w * code * code;
    }
    const float determinant = sums.w * sums.l2 - sums.l * sums.l;
    if (!(determinant > 0)) return;
    float scale = (sums.w * sums.xl - sums.x * sums.l) / determinant;
    float minimum = (sums.l * sums.xl - sums.l2 * sums.x) / determinant;
    if (minimum < 0) {
      scale = sums.xl / sums.l2;
      minimum = 0;
    }
    keep(scale, minimum);
  }

  // Judges the codes at hand with this scale.
  void keep(float scale, float minimum) {
    float error = 0;
    for (size_t i = 0; i < x_.size(); ++i) {
      const float difference = scale * codes_[i] - minimum - x_[i];
      error += weights_[i] * difference * difference;
    }
    if (found_ && !(error < least_error_)) return;
    found_ = true;
    least_error_ = error;
    best_ = {scale, minimum};
  }

  void take_codes(float inverse, float low) {
    for (size_t i = 0; i < x_.size(); ++i)
      codes_[i] = static_cast<float>(nearest_code(inverse * (x_[i] - low), 0, most_));
  }

  AffineScale best() const { return best_; }

 private:
  std::span<const float> x_;
  int most_;
  std::array<float, kMostValues> weights_{};
  std::array<float, kMostValues> codes_{};
  bool found_ = false;
  float least_error_ = 0;
  AffineScale best_;
};

}  // namespace

AffineScale search_affine_scale(std::span<const float> x, int most, const ScaleSteps& steps) {
  const auto [least, largest] = std::ranges::minmax(x);
  const float low = std::min(least, 0.0F);
  const float range = largest - low;
  if (!(range > 0)) return {0.0F, -low};
  AffineSearch search(x, most);
  const auto levels = static_cast<float>(most);
  search.take_codes(levels / range, low);
  search.keep(range / levels, -low);
  for (int i = 0; i <= steps.steps; ++i) {
    const float divisor = steps.first + steps.step * static_cast<float>(i) + levels;
    const float minimum = -search.best().minimum;  // the best so far
    search.try_scale(divisor / (largest - minimum), minimum);
  }
  return search.best();
}

float search_symmetric_scale(std::span<const float> x, int half) {
  const float extreme =
      *std::ranges::max_element(x, {}, [](float value) { return std::abs(value); });
  if (std::abs(extreme) < kTiny) return 0.0F;
  float scale = 0;
  float most_explained = 0;
  for (int i = -9; i <= 9; ++i) {
    const float inverse = -(static_cast<float>(half) + 0.1F * static_cast<float>(i)) / extreme;
    float xl = 0;
    float l2 = 0;
    for (const float value : x) {
      const auto code = static_cast<float>(nearest_code(inverse * value, -half, half - 1));
      const float w = value * value;
      xl += w * value * code;
      l2 += w * code * code;
    }
    // The error that is left is the sum of squares less xl² / l2.
    if (l2 > 0 && xl * xl > most_explained * l2) {
      scale = xl / l2;
      most_explained = xl * scale;
    }
  }
  return scale;
}

}  // namespace spillway::ops
