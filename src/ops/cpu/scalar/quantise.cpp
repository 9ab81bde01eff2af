// The left side of a quantised matmul: the integers are the same, bit for bit, in every instruction
// set.
#include <algorithm>
#include <cmath>

#include "ops/cpu/quantise_scale.h"
#include "ops/cpu/scalar/kernels.h"

namespace spillway::ops::cpu::scalar {

namespace {

void quantise_block(const float* from, size_t block, const PreparedToken<std::byte>& out) {
  int8_t* to = out.values + block * kScaleColumns;
  float largest = 0.0F;
  for (size_t i = 0; i < kScaleColumns; ++i) largest = std::max(largest, std::abs(from[i]));
  const QuantiseScale scale = quantise_scale(largest);
  int sums[2] = {0, 0};
  for (size_t i = 0; i < kScaleColumns; ++i) {
    to[i] = static_cast<int8_t>(std::lrint(from[i] * scale.inverse));
    sums[i / kSubColumns] += to[i];
  }
  out.scales[block] = scale.scale;
  for (size_t half = 0; half < 2; ++half) {
    out.sums16[2 * block + half] = scale.scale * static_cast<float>(sums[half]);
    out.totals16[2 * block + half] = static_cast<int16_t>(sums[half]);
  }
  out.sums32[block] = scale.scale * static_cast<float>(sums[0] + sums[1]);
}

}  // namespace

void quantise(const float* x, size_t columns, const PreparedToken<std::byte>& out) {
  for (size_t block = 0; block < columns / kScaleColumns; ++block)
    quantise_block(x + block * kScaleColumns, block, out);
}

void norm_quantise(const float* x, const float* weight, float epsilon, size_t columns,
                   const PreparedToken<std::byte>& out) {
  const double scale = rms_scale(x, epsilon, columns);
  for (size_t block = 0; block < columns / kScaleColumns; ++block) {
    float normed[kScaleColumns];
    for (size_t i = 0; i < kScaleColumns; ++i) {
      const size_t at = block * kScaleColumns + i;
      normed[i] = static_cast<float>(static_cast<double>(x[at]) * scale) * weight[at];
    }
    quantise_block(normed, block, out);
  }
}

}  // namespace spillway::ops::cpu::scalar
