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

double element(DType dtype, const std::byte* row, size_t i) {
  switch (dtype) {
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
    sum += static_cast<double>(q[i]) * element(task.layer.dtype, key, i);
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
        sums[i - first] += weight * element(task.layer.dtype, value, i);
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

void attend_chunk(const PartTask& task, const KvStretch& chunk, float* sums) {
  const size_t dim = task.part.head_dim;
  const size_t head_bytes = row_bytes(task.part.dtype, dim);
  for (size_t head = 0; head < task.heads; ++head, sums += task.sums_floats()) {
    const size_t offset = head / task.group() * head_bytes;
    const auto score = [&](size_t t) {
      const std::byte* key = chunk.keys + t * task.token_bytes() + offset;
      double sum = 0.0;
      for (size_t i = 0; i < dim; ++i)
        sum += static_cast<double>(task.q[head * dim + i]) * element(task.part.dtype, key, i);
      return sum * static_cast<double>(task.scale);
    };
    double largest = -std::numeric_limits<double>::infinity();
    for (size_t t = 0; t < chunk.tokens; ++t) largest = std::max(largest, score(t));
    double total = 0.0;
    for (size_t t = 0; t < chunk.tokens; ++t) total += std::exp(score(t) - largest);
    for (size_t i = 0; i < dim; ++i) {
      double sum = 0.0;
      for (size_t t = 0; t < chunk.tokens; ++t) {
        const std::byte* value = chunk.values + t * task.token_bytes() + offset;
        sum += std::exp(score(t) - largest) * element(task.part.dtype, value, i);
      }
      sums[i] = static_cast<float>(sum);
    }
    sums[dim] = static_cast<float>(largest);
    sums[dim + 1] = static_cast<float>(total);
  }
}

}  // namespace spillway::ops::cpu::scalar
