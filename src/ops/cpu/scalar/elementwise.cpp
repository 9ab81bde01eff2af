// The ops that touch each number once or twice.
#include <algorithm>
#include <cmath>

#include "ops/cpu/scalar/kernels.h"

namespace spillway::ops::cpu::scalar {

double rms_scale(const float* x, float epsilon, size_t count) {
  double sum = 0.0;
  for (size_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(count);
  return 1.0 / std::sqrt(mean + static_cast<double>(epsilon));
}

void rms_norm(const float* x, const float* weight, float epsilon, float* y, size_t count) {
  const double scale = rms_scale(x, epsilon, count);
  for (size_t i = 0; i < count; ++i)
    y[i] = static_cast<float>(static_cast<double>(x[i]) * scale) * weight[i];
}

void rope(const RopePairs& pairs) {
  for (size_t i = 0; i < pairs.count; ++i) {
    float& first = pairs.first[i * pairs.step];
    float& second = pairs.second[i * pairs.step];
    const float a = first;
    const float b = second;
    first = a * pairs.cosines[i] - b * pairs.sines[i];
    second = a * pairs.sines[i] + b * pairs.cosines[i];
  }
}

void swiglu(float* gate, const float* up, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(gate[i]);
    gate[i] = static_cast<float>(x / (1.0 + std::exp(-x)) * static_cast<double>(up[i]));
  }
}

void geglu(float* gate, const float* up, size_t count) {
  constexpr double kRoot = 0.79788456080286535588;  // √(2/π)
  for (size_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(gate[i]);
    // 1 + tanh(u) = 2 / (1 + e^-2u), without a difference of nearly equal numbers.
    const double u = kRoot * (x + 0.044715 * x * x * x);
    gate[i] = static_cast<float>(x / (1.0 + std::exp(-2.0 * u)) * static_cast<double>(up[i]));
  }
}

void soft_cap(float* x, float cap, size_t count) {
  const auto wide = static_cast<double>(cap);
  for (size_t i = 0; i < count; ++i)
    x[i] = static_cast<float>(wide * std::tanh(static_cast<double>(x[i]) / wide));
}

void scale(float* x, float factor, size_t count) {
  for (size_t i = 0; i < count; ++i) x[i] *= factor;
}

void add(float* x, const float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) x[i] += y[i];
}

void softmax(float* x, size_t count) {
  if (count == 0) return;
  const float largest = *std::max_element(x, x + count);
  double total = 0.0;
  for (size_t i = 0; i < count; ++i) total += std::exp(static_cast<double>(x[i] - largest));
  for (size_t i = 0; i < count; ++i)
    x[i] = static_cast<float>(std::exp(static_cast<double>(x[i] - largest)) / total);
}

}  // namespace spillway::ops::cpu::scalar
