// Matmul by definition: a stretch of the row as floats, times the input, added up in double.
#include <algorithm>
#include <array>

#include "ops/cpu/scalar/kernels.h"

namespace spillway::ops::cpu::scalar {
namespace {

constexpr size_t kStretch = 256;  // columns; whole blocks of every dtype
constexpr size_t kTokens = 16;    // that share one pass over a row

// The input's columns [first, first + count) of one token, as the weights of a dtype class see
// them.
void read_floats(const MatmulInput& input, size_t token, size_t first, std::span<double> out) {
  const float* x = input.floats + token * input.columns + first;
  std::copy(x, x + out.size(), out.begin());
}

void read_quantised(const MatmulInput& input, size_t token, size_t first, std::span<double> out) {
  const auto prepared = prepared_token(input.quantised, token, input.columns);
  for (size_t i = 0; i < out.size(); ++i) {
    const double scale = static_cast<double>(prepared.scales[(first + i) / kScaleColumns]);
    out[i] = scale * prepared.values[first + i];
  }
}

using Read = void (*)(const MatmulInput&, size_t, size_t, std::span<double>);

// y of one row for up to kTokens tokens.
void row_times_tokens(const MatmulTask& task, Read read, size_t row, size_t first_token,
                      size_t end_token) {
  const WeightRows& weight = task.weight;
  const auto dequantise = dequantise_kernel(weight.dtype);
  const std::byte* data = weight.data + row * row_bytes(weight.dtype, weight.columns);
  std::array<double, kTokens> sums = {};
  for (size_t first = 0; first < weight.columns; first += kStretch) {
    const size_t count = std::min(kStretch, weight.columns - first);
    std::array<float, kStretch> w;
    std::array<double, kStretch> x;
    dequantise(data + row_bytes(weight.dtype, first), w.data(), count);
    for (size_t t = first_token; t < end_token; ++t) {
      read(task.input, t, first, std::span(x).first(count));
      double& sum = sums[t - first_token];
      for (size_t i = 0; i < count; ++i) sum += static_cast<double>(w[i]) * x[i];
    }
  }
  for (size_t t = first_token; t < end_token; ++t)
    task.y[t * task.y_stride + row] = static_cast<float>(sums[t - first_token]);
}

void matmul(const MatmulTask& task, Read read, size_t first_row, size_t end_row) {
  for (size_t row = first_row; row < end_row; ++row) {
    for (size_t t = 0; t < task.input.tokens; t += kTokens)
      row_times_tokens(task, read, row, t, std::min(t + kTokens, task.input.tokens));
  }
}

}  // namespace

void matmul_floats(const MatmulTask& task, size_t first_row, size_t end_row) {
  matmul(task, read_floats, first_row, end_row);
}

void matmul_quantised(const MatmulTask& task, size_t first_row, size_t end_row) {
  matmul(task, read_quantised, first_row, end_row);
}

}  // namespace spillway::ops::cpu::scalar
