#include <vector>

#include "../../support/random_weights.h"
#include "ops_contract.h"

namespace spillway::ops {
namespace {

using testing::random_floats;

// A paged cache of one layer whose blocks lie apart, with bytes before, between and after keys and
// values.
class Cache {
 public:
  Cache(DType dtype, size_t positions, size_t block_tokens, size_t kv_heads, size_t head_dim) {
    const size_t half = row_bytes(dtype, kv_heads * block_tokens * head_dim);
    const size_t blocks = (positions + block_tokens - 1) / block_tokens;
    storage_.resize(blocks, std::vector<std::byte>(2 * half + 48, std::byte{0x7F}));
    for (auto& block : storage_) pointers_.push_back(block.data());
    layer_ = {.blocks = pointers_,
              .key_offset = 16,
              .value_offset = 32 + half,
              .block_tokens = block_tokens,
              .kv_heads = kv_heads,
              .head_dim = head_dim,
              .dtype = dtype};
  }
  const KvLayer& layer() const { return layer_; }

  double at(size_t offset, size_t head, size_t position, size_t i) const {
    const size_t index =
        (head * layer_.block_tokens + position % layer_.block_tokens) * layer_.head_dim + i;
    const std::byte* data = pointers_[position / layer_.block_tokens] + offset;
    if (layer_.dtype == DType::kF16) return static_cast<double>(cpu::f16_at(data + 2 * index));
    return static_cast<double>(cpu::load<float>(data + 4 * index));
  }

 private:
  std::vector<std::vector<std::byte>> storage_;
  std::vector<std::byte*> pointers_;
  KvLayer layer_;
};

struct Shape {
  DType dtype;
  size_t first, tokens, heads, kv_heads, head_dim, block_tokens;
};

std::vector<double> attention_in_double(const Shape& s, const std::vector<float>& q, double scale,
                                        const Cache& cache) {
  std::vector<double> out(q.size());
  for (size_t t = 0; t < s.tokens; ++t) {
    for (size_t h = 0; h < s.heads; ++h) {
      const size_t at = (t * s.heads + h) * s.head_dim;
      const size_t kv = h / (s.heads / s.kv_heads);
      std::vector<double> weights(s.first + t + 1);
      double largest = -1e300;
      for (size_t p = 0; p < weights.size(); ++p) {
        for (size_t i = 0; i < s.head_dim; ++i)
          weights[p] +=
              static_cast<double>(q[at + i]) * cache.at(cache.layer().key_offset, kv, p, i);
        weights[p] *= scale;
        largest = std::max(largest, weights[p]);
      }
      double total = 0.0;
      for (double& weight : weights) total += weight = std::exp(weight - largest);
      for (size_t p = 0; p < weights.size(); ++p) {
        for (size_t i = 0; i < s.head_dim; ++i)
          out[at + i] += weights[p] / total * cache.at(cache.layer().value_offset, kv, p, i);
      }
    }
  }
  return out;
}

constexpr Shape kShapes[] = {
    {DType::kF16, 0, 1, 1, 1, 64, 16},    {DType::kF16, 0, 70, 9, 3, 64, 32},
    {DType::kF16, 200, 1, 9, 3, 64, 64},  {DType::kF16, 130, 5, 8, 1, 128, 48},
    {DType::kF32, 0, 9, 8, 4, 8, 7},      {DType::kF32, 63, 3, 4, 4, 80, 16},
    {DType::kF16, 61, 4, 2, 1, 100, 256}, {DType::kF32, 64, 2, 6, 2, 33, 5},
};

}  // namespace

TEST_P(OpsContract, AttentionIsTheSoftmaxOfScoresTimesValues) {
  for (const Shape& s : kShapes) {
    SCOPED_TRACE("head_dim " + std::to_string(s.head_dim) + ", first " + std::to_string(s.first));
    Cache cache(s.dtype, s.first + s.tokens, s.block_tokens, s.kv_heads, s.head_dim);
    const size_t stored = (s.first + s.tokens) * s.kv_heads * s.head_dim;
    ops_->store_kv(random_floats(random_, stored), random_floats(random_, stored), 0,
                   cache.layer());
    const std::vector<float> q = random_floats(random_, s.tokens * s.heads * s.head_dim, 2.0F);
    std::vector<float> out(q.size(), 77.0F);
    ops_->attention(q, {s.heads, s.first, 0.25F}, cache.layer(), out);
    expect_close(out, attention_in_double(s, q, 0.25, cache), 1e-5);
  }
}

TEST_P(OpsContract, AttentionSurvivesHugeScores) {
  Cache cache(DType::kF32, 130, 16, 1, 16);
  std::vector<float> keys(130 * 16, 0.0F);
  for (size_t p = 0; p < 130; ++p) keys[p * 16] = p == 100 ? 1e4F : -1e4F;
  const std::vector<float> values = random_floats(random_, keys.size());
  ops_->store_kv(keys, values, 0, cache.layer());
  const std::vector<float> q(16, 1e4F);
  std::vector<float> out(16);
  ops_->attention(q, {1, 129, 1.0F}, cache.layer(), out);
  expect_close(out, std::span(values).subspan(100 * 16, 16), 1e-6);
}

TEST_P(OpsContract, StoreKvRoundsToNearestAndTouchesNothingElse) {
  for (const DType dtype : {DType::kF16, DType::kF32}) {
    Cache cache(dtype, 20, 8, 2, 21);
    const std::vector<float> keys = random_floats(random_, 3 * 2 * 21, 100.0F);
    const std::vector<float> values = random_floats(random_, 3 * 2 * 21, 1e-6F);
    const double untouched = cache.at(cache.layer().key_offset, 0, 0, 0);
    ops_->store_kv(keys, values, 7, cache.layer());  // across a border of blocks
    for (size_t p = 0; p < 20; ++p) {
      for (size_t h = 0; h < 2; ++h) {
        for (size_t i = 0; i < 21; ++i) {
          const double key = cache.at(cache.layer().key_offset, h, p, i);
          const double value = cache.at(cache.layer().value_offset, h, p, i);
          if (p < 7 || p >= 10) {
            const bool same = key == untouched || (std::isnan(key) && std::isnan(untouched));
            ASSERT_TRUE(same);
            continue;
          }
          const size_t at = ((p - 7) * 2 + h) * 21 + i;
          const double k = static_cast<double>(keys[at]);
          const double v = static_cast<double>(values[at]);
          const double tolerance = dtype == DType::kF16 ? 0x1p-11 : 0.0;
          ASSERT_NEAR(key, k, std::abs(k) * tolerance);
          ASSERT_NEAR(value, v, std::abs(v) * tolerance + (dtype == DType::kF16 ? 0x1p-25 : 0.0));
        }
      }
    }
  }
}

}  // namespace spillway::ops
