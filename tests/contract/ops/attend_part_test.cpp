#include <algorithm>
#include <cmath>
#include <vector>

#include "../../support/random_weights.h"
#include "ops_contract.h"

namespace spillway::ops {
namespace {

using testing::random_floats;

struct PartShape {
  DType dtype;
  std::vector<size_t> stretches;  // tokens
  size_t heads, kv_heads, head_dim;
  float scale = 0.25F;
};

// Keys and values that lie apart, of which the kernels may read nothing more.
class Part {
 public:
  Part(const PartShape& shape, std::mt19937& random) : shape_(shape) {
    for (const size_t tokens : shape.stretches) {
      for (int i = 0; i < 2; ++i)
        storage_.push_back(bytes_of(random_floats(random, tokens * row_elements()), shape.dtype));
    }
    for (size_t i = 0; i < shape.stretches.size(); ++i) {
      stretches_.push_back(
          {storage_[2 * i].data(), storage_[2 * i + 1].data(), shape.stretches[i]});
    }
    part_ = {stretches_, shape.kv_heads, shape.head_dim, shape.dtype};
  }
  const KvPart& part() const { return part_; }

  // By definition; log_sums [heads].
  std::vector<double> attend(const std::vector<float>& q, std::vector<double>& log_sums) const {
    const size_t dim = shape_.head_dim;
    std::vector<double> out(q.size());
    for (size_t h = 0; h < shape_.heads; ++h) {
      const size_t kv_head = h / (shape_.heads / shape_.kv_heads);
      std::vector<double> scores;
      std::vector<const std::byte*> values;
      for (const KvStretch& stretch : stretches_) {
        for (size_t t = 0; t < stretch.tokens; ++t) {
          const size_t at = t * row_elements() + kv_head * dim;
          double sum = 0;
          for (size_t i = 0; i < dim; ++i)
            sum += static_cast<double>(q[h * dim + i]) * element(stretch.keys, at + i);
          scores.push_back(sum * static_cast<double>(shape_.scale));
          values.push_back(stretch.values + at * size());
        }
      }
      const double largest = *std::ranges::max_element(scores);
      double total = 0;
      for (const double score : scores) total += std::exp(score - largest);
      for (size_t t = 0; t < scores.size(); ++t) {
        for (size_t i = 0; i < dim; ++i)
          out[h * dim + i] += std::exp(scores[t] - largest) / total * element(values[t], i);
      }
      log_sums.push_back(largest + std::log(total));
    }
    return out;
  }

 private:
  size_t row_elements() const { return shape_.kv_heads * shape_.head_dim; }
  size_t size() const { return shape_.dtype == DType::kF32 ? 4 : 2; }
  double element(const std::byte* data, size_t i) const {
    switch (shape_.dtype) {
      case DType::kF16:
        return static_cast<double>(cpu::f16_at(data + 2 * i));
      case DType::kBF16:
        return static_cast<double>(cpu::bf16_to_f32(cpu::load<uint16_t>(data + 2 * i)));
      default:
        return static_cast<double>(cpu::load<float>(data + 4 * i));
    }
  }
  static std::vector<std::byte> bytes_of(const std::vector<float>& values, DType dtype) {
    std::vector<std::byte> bytes(values.size() * (dtype == DType::kF32 ? 4 : 2));
    for (size_t i = 0; i < values.size(); ++i) {
      uint32_t bits = 0;
      std::memcpy(&bits, &values[i], 4);
      // As f16: its sign and some of its digits, between 1/4 and 4.
      const auto half = static_cast<uint16_t>(
          dtype == DType::kBF16 ? bits >> 16 : (bits >> 31 << 15) | (0x3400 + (bits & 0xFFF)));
      if (dtype == DType::kF32) {
        std::memcpy(bytes.data() + 4 * i, &bits, 4);
      } else {
        std::memcpy(bytes.data() + 2 * i, &half, 2);
      }
    }
    return bytes;
  }

  PartShape shape_;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<KvStretch> stretches_;
  KvPart part_;
};

struct Found {
  std::vector<float> out, log_sums;
};

Found attend(Ops& ops, const PartShape& shape, const Part& part, const std::vector<float>& q) {
  std::vector<float> scratch(ops.part_floats(part.part(), shape.heads), NAN);
  Found found{std::vector<float>(q.size(), NAN), std::vector<float>(shape.heads, NAN)};
  ops.attend_part(q, shape.scale, part.part(), scratch, {found.out, found.log_sums});
  return found;
}

const PartShape kPartShapes[] = {
    {DType::kBF16, {300, 1, 65}, 8, 2, 128}, {DType::kF16, {129}, 4, 4, 64},
    {DType::kF32, {64, 3}, 6, 2, 40},        {DType::kBF16, {1}, 1, 1, 8},
    {DType::kF32, {5, 4}, 3, 1, 33},         {DType::kF16, {70}, 128, 1, 16},
    {DType::kBF16, {40}, 280, 40, 16},  // more rows than are computed together
};

}  // namespace

TEST_P(OpsContract, APartIsAttendedToWithTheLogarithmOfItsSum) {
  for (const PartShape& shape : kPartShapes) {
    SCOPED_TRACE("head_dim " + std::to_string(shape.head_dim));
    const Part part(shape, random_);
    const std::vector<float> q = random_floats(random_, shape.heads * shape.head_dim, 2.0F);
    const Found found = attend(*ops_, shape, part, q);
    std::vector<double> log_sums;
    const std::vector<double> out = part.attend(q, log_sums);
    expect_close(found.out, out, 1e-5);
    expect_close(found.log_sums, log_sums, 1e-6);
  }
}

TEST_P(OpsContract, APartIsTheSameForAnyNumberOfThreads) {
  const PartShape& shape = kPartShapes[0];
  const Part part(shape, random_);
  const std::vector<float> q = random_floats(random_, shape.heads * shape.head_dim);
  ThreadPool alone(1);
  const Found found = attend(*ops_, shape, part, q);
  const Found other = attend(*make_cpu_ops(alone, GetParam()), shape, part, q);
  EXPECT_EQ(found.out, other.out);
  EXPECT_EQ(found.log_sums, other.log_sums);
}

TEST_P(OpsContract, APartSurvivesHugeScores) {
  const PartShape shape{DType::kF32, {200, 20}, 2, 1, 16, 1e4F};
  const Part part(shape, random_);
  const std::vector<float> q = random_floats(random_, 32, 100.0F);
  const Found found = attend(*ops_, shape, part, q);
  std::vector<double> log_sums;
  expect_close(found.out, part.attend(q, log_sums), 1e-4);
  expect_close(found.log_sums, log_sums, 1e-5);
}

}  // namespace spillway::ops
