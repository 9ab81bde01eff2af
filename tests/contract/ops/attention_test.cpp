#include <vector>

#include "../../support/ops_storage.h"
#include "../../support/random_weights.h"
#include "ops_contract.h"

namespace spillway::ops {
namespace {

using testing::KvPages;
using testing::random_floats;

// What lies in a cache, as floats; `offset`: of keys or of values.
struct Cache : KvPages {
  using KvPages::KvPages;

  double at(size_t offset, size_t head, size_t position, size_t i) const {
    const size_t index =
        (head * layer.block_tokens + position % layer.block_tokens) * layer.head_dim + i;
    const std::byte* data = pointers[position / layer.block_tokens] + offset;
    switch (layer.dtype) {
      case DType::kF16:
        return static_cast<double>(cpu::f16_at(data + 2 * index));
      case DType::kBF16:
        return static_cast<double>(cpu::bf16_to_f32(cpu::load<uint16_t>(data + 2 * index)));
      case DType::kQ8_0: {
        const std::byte* block = data + index / 32 * 34;
        return static_cast<double>(cpu::f16_at(block)) * cpu::load<int8_t>(block + 2 + index % 32);
      }
      default:
        return static_cast<double>(cpu::load<float>(data + 4 * index));
    }
  }
};

struct AttentionShape {
  DType dtype;
  size_t first, tokens, heads, kv_heads, head_dim, block_tokens;
  size_t window = 0;
  float soft_cap = 0.0F;
};

std::vector<double> attention_in_double(const AttentionShape& s, const std::vector<float>& q,
                                        double scale, const Cache& cache) {
  std::vector<double> out(q.size());
  for (size_t t = 0; t < s.tokens; ++t) {
    for (size_t h = 0; h < s.heads; ++h) {
      const size_t at = (t * s.heads + h) * s.head_dim;
      const size_t kv = h / (s.heads / s.kv_heads);
      std::vector<double> weights(s.first + t + 1);
      const bool all = s.window == 0 || s.window >= weights.size();
      const size_t begin = all ? 0 : weights.size() - s.window;
      const auto cap = static_cast<double>(s.soft_cap);
      double largest = -1e300;
      for (size_t p = begin; p < weights.size(); ++p) {
        for (size_t i = 0; i < s.head_dim; ++i)
          weights[p] += static_cast<double>(q[at + i]) * cache.at(cache.layer.key_offset, kv, p, i);
        weights[p] *= scale;
        if (cap > 0) weights[p] = cap * std::tanh(weights[p] / cap);
        largest = std::max(largest, weights[p]);
      }
      double total = 0.0;
      for (size_t p = begin; p < weights.size(); ++p)
        total += weights[p] = std::exp(weights[p] - largest);
      for (size_t p = begin; p < weights.size(); ++p) {
        for (size_t i = 0; i < s.head_dim; ++i)
          out[at + i] += weights[p] / total * cache.at(cache.layer.value_offset, kv, p, i);
      }
    }
  }
  return out;
}

constexpr AttentionShape kAttentionShapes[] = {
    {DType::kF16, 0, 1, 1, 1, 64, 16},
    {DType::kF16, 0, 70, 9, 3, 64, 32},
    {DType::kF16, 200, 1, 9, 3, 64, 64},
    {DType::kF16, 130, 5, 8, 1, 128, 48},
    {DType::kF32, 0, 9, 8, 4, 8, 7},
    {DType::kF32, 63, 3, 4, 4, 80, 16},
    {DType::kF16, 61, 4, 2, 1, 100, 256},
    {DType::kF32, 64, 2, 6, 2, 33, 5},
    {DType::kBF16, 70, 9, 4, 2, 80, 16},
    {DType::kQ8_0, 70, 9, 4, 2, 96, 16},
    {DType::kQ8_0, 0, 1, 1, 1, 32, 16},
    {DType::kF32, 0, 200, 4, 2, 16, 16, 8},
    {DType::kF16, 150, 70, 2, 1, 64, 16, 65, 2.0F},
    {DType::kF32, 190, 1, 8, 2, 40, 16, 64, 5.0F},
    {DType::kF32, 63, 66, 3, 3, 8, 16, 1, 0.5F},
    {DType::kQ8_0, 300, 1, 2, 1, 64, 16, 300, 50.0F},
};

}  // namespace

TEST_P(OpsContract, AttentionIsTheSoftmaxOfScoresTimesValues) {
  for (const AttentionShape& s : kAttentionShapes) {
    SCOPED_TRACE("head_dim " + std::to_string(s.head_dim) + ", first " + std::to_string(s.first));
    Cache cache(s.dtype, s.first + s.tokens, s.block_tokens, s.kv_heads, s.head_dim);
    const size_t stored = (s.first + s.tokens) * s.kv_heads * s.head_dim;
    ops_->store_kv(random_floats(random_, stored), random_floats(random_, stored), 0, cache.layer);
    const std::vector<float> q = random_floats(random_, s.tokens * s.heads * s.head_dim, 2.0F);
    std::vector<float> out(q.size(), 77.0F);
    ops_->attention(q,
                    {.heads = s.heads,
                     .first_position = s.first,
                     .scale = 0.25F,
                     .window = s.window,
                     .soft_cap = s.soft_cap},
                    cache.layer, out);
    expect_close(out, attention_in_double(s, q, 0.25, cache), 1e-5);
  }
}

TEST_P(OpsContract, AttentionSurvivesHugeScores) {
  Cache cache(DType::kF32, 130, 16, 1, 16);
  std::vector<float> keys(130 * 16, 0.0F);
  for (size_t p = 0; p < 130; ++p) keys[p * 16] = p == 100 ? 1e4F : -1e4F;
  const std::vector<float> values = random_floats(random_, keys.size());
  ops_->store_kv(keys, values, 0, cache.layer);
  const std::vector<float> q(16, 1e4F);
  std::vector<float> out(16);
  ops_->attention(q, {.heads = 1, .first_position = 129}, cache.layer, out);
  expect_close(out, std::span(values).subspan(100 * 16, 16), 1e-6);
}

// What a float may lose on its way into a cache: relatively, and in small numbers.
double relative_loss(DType dtype) {
  if (dtype == DType::kF16) return 0x1p-11;
  return dtype == DType::kBF16 ? 0x1p-8 : 0.0;
}

TEST_P(OpsContract, StoreKvRoundsToNearestAndTouchesNothingElse) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    Cache cache(dtype, 20, 8, 2, 21);
    const std::vector<float> keys = random_floats(random_, 3 * 2 * 21, 100.0F);
    const std::vector<float> values = random_floats(random_, 3 * 2 * 21, 1e-6F);
    const double untouched = cache.at(cache.layer.key_offset, 0, 0, 0);
    ops_->store_kv(keys, values, 7, cache.layer);  // across a border of blocks
    for (size_t p = 0; p < 20; ++p) {
      for (size_t h = 0; h < 2; ++h) {
        for (size_t i = 0; i < 21; ++i) {
          const double key = cache.at(cache.layer.key_offset, h, p, i);
          const double value = cache.at(cache.layer.value_offset, h, p, i);
          if (p < 7 || p >= 10) {
            const bool same = key == untouched || (std::isnan(key) && std::isnan(untouched));
            ASSERT_TRUE(same);
            continue;
          }
          const size_t at = ((p - 7) * 2 + h) * 21 + i;
          const double k = static_cast<double>(keys[at]);
          const double v = static_cast<double>(values[at]);
          const double tolerance = relative_loss(dtype);
          ASSERT_NEAR(key, k, std::abs(k) * tolerance);
          ASSERT_NEAR(value, v, std::abs(v) * tolerance + (dtype == DType::kF16 ? 0x1p-25 : 0.0));
        }
      }
    }
  }
}

// ggml's Q8_0: blocks of 32, whose largest magnitude is 127 steps.
TEST_P(OpsContract, StoreKvRoundsBlocksOfQ8ToTheNearestStep) {
  constexpr size_t kDim = 64;
  Cache cache(DType::kQ8_0, 8, 4, 1, kDim);
  std::vector<float> keys = random_floats(random_, 3 * kDim, 10.0F);
  std::fill_n(keys.begin() + kDim, 32, 0.0F);
  keys[0] = 1e-30F;
  ops_->store_kv(keys, keys, 2, cache.layer);
  for (size_t p = 0; p < 3; ++p) {
    for (size_t block = 0; block < kDim; block += 32) {
      const float* values = keys.data() + p * kDim + block;
      float largest = 0.0F;
      for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(values[i]));
      const double step = static_cast<double>(largest) / 127.0;
      for (size_t i = 0; i < 32; ++i) {
        for (const size_t offset : {cache.layer.key_offset, cache.layer.value_offset}) {
          // Half a step, and what rounding the step itself to f16 moves the largest.
          ASSERT_NEAR(cache.at(offset, 0, p + 2, block + i), static_cast<double>(values[i]),
                      step * (0.5 + 127 * 0x1p-11));
        }
      }
    }
  }
}

}  // namespace spillway::ops
