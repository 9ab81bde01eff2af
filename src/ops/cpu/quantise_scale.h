// How 32 activations become 8-bit integers. Pure functions; any thread.
#pragma once

namespace spillway::ops::cpu {

struct QuantiseScale {
  float scale;    // integer × scale is about the activation
  float inverse;  // activation × inverse, rounded to nearest even, is the integer
};

// For the largest magnitude of a block. Blocks that tiny count as zero, because the inverse would
// overflow.
inline QuantiseScale quantise_scale(float largest) {
  constexpr float kTiny = 1e-30F;
  if (!(largest > kTiny)) return {0.0F, 0.0F};
  return {largest / 127.0F, 127.0F / largest};
}

}  // namespace spillway::ops::cpu
