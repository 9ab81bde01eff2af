// The left side of a quantised matmul: the integers are the same, bit for bit, in every instruction
// set.
#include <algorithm>
#include <cmath>

#include "ops/cpu/quantise_scale.h"
#include "ops/cpu/scalar/kernels.h"

namespace spillway::ops::cpu::scalar {

void quantise(const float* x, size_t columns, const PreparedToken<std::byte>& out) {
  for (size_t block = 0; block < columns / kScaleColumns; ++block) {
    const float* from = x + block * kScaleColumns;
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
    out.sums16[2 * block] = scale.scale * static_cast<float>(sums[0]);
    out.sums16[2 * block + 1] = scale.scale * static_cast<float>(sums[1]);
    for (size_t half = 0; half < 2; ++half)
      out.totals16[2 * block + half] = static_cast<int16_t>(sums[half]);
    out.sums32[block] = scale.scale * static_cast<float>(sums[0] + sums[1]);
  }
}

}  // namespace spillway::ops::cpu::scalar
