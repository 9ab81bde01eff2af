// Attention by definition, in double: a first pass finds the largest score, a second weighs the
// values.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ops/cpu/half.h"
#include "ops/cpu/kv_rows.h"
#include "ops/cpu/scalar/kernels.h"

namespace spillway::ops::cpu::scalar {
namespace {

constexpr size_t kStretch = 256;  // dimensions of the output that are added up together

double element(const KvLayer& layer, const std::byte* row, size_t i) {
  switch (layer.dtype) {
    case DType::kF16:
      return static_cast<double>(f16_at(row + 2 * i));
    case DType::kBF16:
      return static_cast<double>(bf16_to_f32(load<uint16_t>(row + 2 * i)));
    case DType::kQ8_0: {
      const std::byte* block = row + i / 32 * 34;
      return static_cast<double>(f16_at(block)) * load<int8_t>(block + 2 + i % 32);
    }
    default:
      return static_cast<double>(load<float>(row + 4 * i));
  }
}

double score(const AttentionTask& task, const float* q, const std::byte* key) {
  double sum = 0.0;
  for (size_t i = 0; i < task.layer.head_dim; ++i)
    sum += static_cast<double>(q[i]) * element(task.layer, key, i);
  sum *= static_cast<double>(task.options.scale);
  const auto cap = static_cast<double>(task.options.soft_cap);
  return cap > 0 ? cap * std::tanh(sum / cap) : sum;
}

void attend(const AttentionTask& task, size_t kv_head, size_t token, size_t head) {
  const size_t dim = task.layer.head_dim;
  const size_t begin = task.first_seen(token);
  const size_t end_seen = task.end_seen(token);
  const size_t at = (token * task.options.heads + head) * dim;
  const float* q = task.q + at;
  float* out = task.out + at;

  double largest = -std::numeric_limits<double>::infinity();
  for (size_t p = begin; p < end_seen; ++p)
    largest = std::max(largest, score(task, q, key_row(task.layer, kv_head, p)));
  for (size_t first = 0; first < dim; first += kStretch) {
    std::array<double, kStretch> sums = {};
    const size_t end = std::min(first + kStretch, dim);
    double total = 0.0;
    for (size_t p = begin; p < end_seen; ++p) {
      const double weight = std::exp(score(task, q, key_row(task.layer, kv_head, p)) - largest);
      const std::byte* value = value_row(task.layer, kv_head, p);
      total += weight;
      for (size_t i = first; i < end; ++i)
        sums[i - first] += weight * element(task.layer, value, i);
    }
    for (size_t i = first; i < end; ++i) out[i] = static_cast<float>(sums[i - first] / total);
  }
}

}  // namespace

void attention(const AttentionTask& task, size_t kv_head, size_t first, size_t end) {
  const size_t group = task.group();
  for (size_t row = first; row < end; ++row)
    attend(task, kv_head, row / group, kv_head * group + row % group);
}

}  // namespace spillway::ops::cpu::scalar
