// Ops that do two things in one pass give the bits of one after the other.
#include <cstring>
#include <vector>

#include "../../support/ops_storage.h"
#include "../../support/random_weights.h"
#include "ops_contract.h"

namespace spillway::ops {
namespace {

using testing::KvPages;
using testing::Prepared;
using testing::prepared_storage;
using testing::random_floats;

}  // namespace

TEST_P(OpsContract, NormOfAnInputIsTheNormThenTheInput) {
  for (const size_t columns : {32U, 576U, 1056U}) {
    for (const size_t tokens : {1U, 3U, 70U}) {
      const std::vector<float> x = random_floats(random_, tokens * columns, 3.0F);
      const std::vector<float> weight = random_floats(random_, columns);
      std::vector<float> normed(x.size());
      ops_->rms_norm(x, weight, 1e-5F, normed);
      const size_t bytes = ops_->prepared_bytes(DType::kQ4_K, tokens, columns);
      const Prepared expected = prepared_storage(bytes);
      MatmulInput of_normed{.tokens = tokens, .columns = columns, .floats = normed.data()};
      ops_->prepare_input(DType::kQ4_K, expected.bytes, of_normed);

      std::vector<float> out(x.size());
      const InputNorm norm{.weight = weight, .epsilon = 1e-5F, .out = out.data()};
      const Prepared prepared = prepared_storage(bytes);
      MatmulInput input{.tokens = tokens, .columns = columns, .floats = x.data(), .norm = &norm};
      ops_->prepare_input(DType::kQ4_K, prepared.bytes, input);
      EXPECT_EQ(std::memcmp(input.quantised, of_normed.quantised, bytes), 0);
      // Float weights that use the same input find its norm.
      ops_->prepare_input(DType::kF16, {}, input);
      EXPECT_EQ(input.floats, out.data());
      EXPECT_EQ(std::memcmp(out.data(), normed.data(), out.size() * sizeof(float)), 0);
    }
  }
}

TEST_P(OpsContract, StoringTurnedKeysIsTurningThenStoring) {
  constexpr size_t kHeads = 2;
  for (const DType dtype : kKvDTypes) {
    for (const size_t dim : {64U, 160U}) {  // more pairs than the angles of one pass
      for (const size_t tokens : {1U, 9U}) {
        const RopeOptions rope{
            .layout = tokens == 1 ? RopeLayout::kHalves : RopeLayout::kInterleaved, .dims = dim};
        std::vector<float> keys = random_floats(random_, tokens * kHeads * dim);
        const std::vector<float> values = random_floats(random_, keys.size());
        std::vector<float> turned = keys;
        KvPages expected(dtype, 15, 4, kHeads, dim);
        ops_->rope(turned, kHeads, dim, 5, rope);
        ops_->store_kv(turned, values, 5, expected.layer);

        KvPages cache(dtype, 15, 4, kHeads, dim);
        ops_->store_turned_kv({keys, values, rope}, 5, cache.layer);
        EXPECT_EQ(keys, turned);
        EXPECT_EQ(cache.storage, expected.storage);
      }
    }
  }
}

}  // namespace spillway::ops
