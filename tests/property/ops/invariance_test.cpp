// Results are the same, bit for bit, for any number of threads, any cut of the rows into slices,
// and any cut of the tokens into batches. Shapes are random; the seed is printed.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../../support/ops_storage.h"
#include "../../support/random_weights.h"
#include "base/thread_pool.h"
#include "ops/interleaved.h"
#include "ops/ops.h"

namespace spillway::ops {
namespace {

using testing::KvPages;
using testing::random_floats;
using testing::random_weights;

constexpr int kRounds = 6;

class OpsInvariance : public ::testing::TestWithParam<std::string> {
 protected:
  OpsInvariance() { std::cout << "seed " << seed_ << "\n"; }

  // From low to high, inclusive.
  size_t between(size_t low, size_t high) {
    return std::uniform_int_distribution<size_t>(low, high)(random_);
  }
  Ops& ops(size_t threads) { return *ops_[threads - 1]; }
  Ops& any_ops() { return ops(between(1, 3)); }
  // [0, count) cut at random places: the ends of the pieces.
  std::vector<size_t> cuts(size_t count) {
    std::vector<size_t> ends;
    for (size_t end = 0; end < count;) ends.push_back(end += between(1, count - end));
    return ends;
  }

  const unsigned seed_ = std::random_device()();
  std::mt19937 random_{seed_};
  ThreadPool pools_[3] = {ThreadPool(1), ThreadPool(2), ThreadPool(3)};
  std::unique_ptr<Ops> ops_[3] = {make_cpu_ops(pools_[0], GetParam()),
                                  make_cpu_ops(pools_[1], GetParam()),
                                  make_cpu_ops(pools_[2], GetParam())};
};

// Prepares and multiplies a batch.
void multiply(Ops& ops, std::span<const float> x, const WeightRows& weight, float* y,
              size_t y_stride) {
  MatmulInput input{
      .tokens = x.size() / weight.columns, .columns = weight.columns, .floats = x.data()};
  const testing::Prepared prepared =
      testing::prepared_storage(ops.prepared_bytes(weight.dtype, input.tokens, input.columns));
  ops.prepare_input(weight.dtype, prepared.bytes, input);
  ops.matmul(input, weight, y, y_stride);
}

TEST_P(OpsInvariance, MatmulDoesNotDependOnThreadsSlicesOrBatches) {
  for (const DType dtype : cpu::kAllDTypes) {
    for (int round = 0; round < kRounds; ++round) {
      const size_t block = dtype_info(dtype).block_elements;
      const size_t columns = block * between(1, 2600 / block);
      const size_t rows = between(1, 150);
      const size_t tokens = between(1, 20);
      SCOPED_TRACE(std::string(dtype_info(dtype).name) + ": " + std::to_string(tokens) + " × " +
                   std::to_string(rows) + " × " + std::to_string(columns));
      const std::vector<std::byte> weights = random_weights(random_, dtype, rows * columns);
      const std::vector<float> x = random_floats(random_, tokens * columns);
      std::vector<float> expected(tokens * rows);
      multiply(ops(1), x, {dtype, weights.data(), rows, columns}, expected.data(), rows);

      std::vector<float> y(tokens * rows);
      size_t first_row = 0;
      for (const size_t end_row : cuts(rows)) {
        // A slice lies wherever its bytes came to lie.
        const size_t row_size = row_bytes(dtype, columns);
        std::vector<std::byte> slice(between(0, 63));
        const size_t shift = slice.size();
        slice.insert(slice.end(), weights.data() + first_row * row_size,
                     weights.data() + end_row * row_size);
        size_t first = 0;
        for (const size_t end : cuts(tokens)) {
          multiply(any_ops(), std::span(x).subspan(first * columns, (end - first) * columns),
                   {dtype, slice.data() + shift, end_row - first_row, columns},
                   y.data() + first * rows + first_row, rows);
          first = end;
        }
        first_row = end_row;
      }
      ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0);
    }
  }
}

// Interleaved rows are the same weights: the same bits, for one token and for many.
TEST_P(OpsInvariance, InterleavedRowsGiveTheSameBits) {
  for (const DType dtype : cpu::kAllDTypes) {
    for (int round = 0; round < kRounds; ++round) {
      const size_t block = dtype_info(dtype).block_elements;
      const size_t columns = block * between(1, 2600 / block);
      const size_t rows = kInterleavedRows * between(1, 8);
      const size_t tokens = round % 2 == 0 ? 1 : between(2, 20);
      if (!ops(1).prefers_interleaved(dtype, rows)) continue;
      ASSERT_FALSE(ops(1).prefers_interleaved(dtype, rows + 1));
      SCOPED_TRACE(std::string(dtype_info(dtype).name) + ": " + std::to_string(tokens) + " × " +
                   std::to_string(rows) + " × " + std::to_string(columns));
      const std::vector<std::byte> weights = random_weights(random_, dtype, rows * columns);
      const std::vector<float> x = random_floats(random_, tokens * columns);
      std::vector<float> expected(tokens * rows);
      multiply(any_ops(), x, {dtype, weights.data(), rows, columns}, expected.data(), rows);

      std::vector<std::byte> interleaved(weights.size());
      any_ops().interleave({dtype, weights.data(), rows, columns}, interleaved.data());
      std::vector<std::byte> by_groups(weights.size());
      const size_t group = kInterleavedRows * row_bytes(dtype, columns);
      for (size_t at = 0; at < weights.size(); at += group)
        interleave_group(dtype, columns, weights.data() + at, by_groups.data() + at);
      ASSERT_EQ(interleaved, by_groups);
      std::vector<std::byte> in_place = weights;
      any_ops().interleave({dtype, in_place.data(), rows, columns}, in_place.data());
      ASSERT_EQ(in_place, interleaved);
      std::vector<float> y(tokens * rows);
      multiply(any_ops(), x, {dtype, interleaved.data(), rows, columns, true}, y.data(), rows);
      ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0);
    }
  }
}

// Products with quantised weights are one definition (ops/cpu/order.h) for all instruction sets
// with fused multiply-adds and products of bytes: one machine continues what another began.
class OpsSiblings : public ::testing::Test {
 protected:
  OpsSiblings() {
    std::cout << "seed " << seed_ << "\n";
    for (const char* name :
         {"AMX", "AVX3_DL", "AVX3", "AVX_VNNI", "AVX2", "NEON_I8MM", "NEON_DOT"}) {
      if (auto ops = make_cpu_ops(pool_, name)) siblings_.push_back(std::move(ops));
    }
  }

  size_t between(size_t low, size_t high) {
    return std::uniform_int_distribution<size_t>(low, high)(random_);
  }

  const unsigned seed_ = std::random_device()();
  std::mt19937 random_{seed_};
  ThreadPool pool_{2};
  std::vector<std::unique_ptr<Ops>> siblings_;
};

TEST_F(OpsSiblings, GiveTheSameBits) {
  if (siblings_.size() < 2) GTEST_SKIP() << "this machine has no two of them";
  for (const DType dtype : {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                            DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    for (int round = 0; round < 3 * kRounds; ++round) {
      const size_t block = dtype_info(dtype).block_elements;
      const size_t columns = block * between(1, 2600 / block);
      const size_t rows = between(1, 50);
      const size_t tokens = round % 3 == 0 ? 1 : between(1, 40);
      SCOPED_TRACE(std::string(dtype_info(dtype).name) + ": " + std::to_string(tokens) + " × " +
                   std::to_string(rows) + " × " + std::to_string(columns));
      std::vector<std::byte> weights = random_weights(random_, dtype, rows * columns);
      if (round >= 2 * kRounds) {  // any bytes: scales that are tiny, huge, infinite or no numbers
        for (std::byte& byte : weights) byte = static_cast<std::byte>(between(0, 255));
      }
      const std::vector<float> x = random_floats(random_, tokens * columns);
      const WeightRows weight{dtype, weights.data(), rows, columns};
      std::vector<float> expected(tokens * rows);
      multiply(*siblings_.front(), x, weight, expected.data(), rows);
      for (const auto& ops : siblings_) {
        std::vector<float> y(tokens * rows);
        multiply(*ops, x, weight, y.data(), rows);
        for (size_t i = 0; i < y.size(); ++i) {
          // With an infinite scale nothing is finite; whether it is a number depends on whether a
          // sum of products of bytes was 0, and those of how many columns are taken together.
          ASSERT_TRUE(std::memcmp(&y[i], &expected[i], sizeof(float)) == 0 ||
                      (!std::isfinite(y[i]) && !std::isfinite(expected[i])))
              << ops->instruction_set() << ": " << y[i] << " and " << expected[i];
        }
      }
    }
  }
}

TEST_P(OpsInvariance, AttentionDoesNotDependOnThreadsBatchesOrPages) {
  for (int round = 0; round < 4 * kRounds; ++round) {
    const DType dtype = kKvDTypes[static_cast<size_t>(round) % kKvDTypes.size()];
    const size_t kv_heads = between(1, 3);
    const size_t heads = kv_heads * between(1, 4);
    const size_t block = dtype_info(dtype).block_elements;
    const size_t dim = block * between(1, 140 / block);
    const size_t tokens = between(1, 150);
    const AttentionOptions options{.heads = heads,
                                   .scale = 0.3F,
                                   .window = between(0, 1) * between(1, 100),
                                   .soft_cap = between(0, 1) == 0 ? 0.0F : 2.0F};
    SCOPED_TRACE(std::to_string(tokens) + " × " + std::to_string(heads) + "/" +
                 std::to_string(kv_heads) + " × " + std::to_string(dim) + ", window " +
                 std::to_string(options.window));
    const std::vector<float> keys = random_floats(random_, tokens * kv_heads * dim);
    const std::vector<float> values = random_floats(random_, tokens * kv_heads * dim);
    const std::vector<float> q = random_floats(random_, tokens * heads * dim);

    KvPages whole(dtype, tokens, 256, kv_heads, dim);
    ops(1).store_kv(keys, values, 0, whole.layer);
    std::vector<float> expected(q.size());
    ops(1).attention(q, options, whole.layer, expected);

    KvPages paged(dtype, tokens, between(1, 70), kv_heads, dim);
    std::vector<float> out(q.size());
    size_t first = 0;
    for (const size_t end : cuts(tokens)) {
      const auto part = [&](auto& all, size_t width) {
        return std::span(all).subspan(first * width, (end - first) * width);
      };
      any_ops().store_kv(part(keys, kv_heads * dim), part(values, kv_heads * dim), first,
                         paged.layer);
      AttentionOptions from_first = options;
      from_first.first_position = first;
      any_ops().attention(part(q, heads * dim), from_first, paged.layer, part(out, heads * dim));
      first = end;
    }
    ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0);
  }
}

TEST_P(OpsInvariance, ElementwiseOpsDoNotDependOnThreadsOrBatches) {
  for (int round = 0; round < kRounds; ++round) {
    const size_t heads = between(1, 9);
    const size_t dim = 2 * between(1, 150);
    const size_t width = heads * dim;
    const size_t tokens = between(1, 40);
    SCOPED_TRACE(std::to_string(tokens) + " × " + std::to_string(width));
    const std::vector<float> x = random_floats(random_, tokens * width, 3.0F);
    const std::vector<float> up = random_floats(random_, tokens * width);
    const std::vector<float> weight = random_floats(random_, width);
    const RopeOptions rope{
        .layout = round % 2 == 0 ? RopeLayout::kInterleaved : RopeLayout::kHalves, .dims = dim};
    const auto compute = [&](Ops& ops, size_t first, size_t end, std::vector<float>& y) {
      const auto part = [&](auto& all) {
        return std::span(all).subspan(first * width, (end - first) * width);
      };
      ops.rms_norm(part(x), weight, 1e-5F, part(y));
      ops.rope(part(y), heads, dim, 11 + first, rope);
      ops.swiglu(part(y), part(up));
      ops.add(part(y), part(x));
      ops.add_bias(part(y), weight);
      ops.geglu(part(y), part(up));
      ops.soft_cap(part(y), 3.0F);
      ops.scale(part(y), 1.7F);
      ops.interleave_halves(part(y), dim);
    };
    std::vector<float> expected(x.size());
    compute(ops(1), 0, tokens, expected);
    std::vector<float> y(x.size());
    size_t first = 0;
    for (const size_t end : cuts(tokens)) {
      compute(any_ops(), first, end, y);
      first = end;
    }
    ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, OpsInvariance, ::testing::ValuesIn(cpu_instruction_sets()),
                         [](const auto& set) { return set.param; });

}  // namespace
}  // namespace spillway::ops
