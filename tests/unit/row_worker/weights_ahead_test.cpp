#include "ops/weights_ahead.h"

#include <gtest/gtest.h>

#include <vector>

namespace spillway::ops {
namespace {

constexpr size_t kColumns = 1024;

WeightRows weight_at(const std::byte* data, size_t rows) {
  return {.dtype = DType::kF32, .data = data, .rows = rows, .columns = kColumns};
}

TEST(WeightsAhead, ComePieceByPieceAndNoFurtherThanCachesGo) {
  ThreadPool pool(2);
  WeightsAhead ahead(pool);
  const std::vector<std::byte> bytes(1 << 20);
  const WeightRows small = weight_at(bytes.data(), bytes.size() / sizeof(float) / kColumns);
  int pieces = 0;
  while (ahead.bring(small)) ++pieces;
  EXPECT_EQ(pieces, 16);  // of 32 KiB each of two threads
  EXPECT_FALSE(ahead.bring(small));
  // Nothing is read: there need be no memory.
  const WeightRows large = weight_at(reinterpret_cast<const std::byte*>(uintptr_t{4096}), 1 << 20);
  pieces = 0;
  while (ahead.bring(large)) ++pieces;
  EXPECT_EQ(pieces, 32);
  EXPECT_TRUE(ahead.bring(small));  // what came before may have gone
}

TEST(WeightsAhead, TheOneThatFollowedIsExpected) {
  ThreadPool pool(1);
  WeightsAhead ahead(pool);
  const std::vector<std::byte> bytes(1 << 16);
  const WeightRows first = weight_at(bytes.data(), 8);
  const WeightRows second = weight_at(bytes.data() + bytes.size() / 2, 8);
  EXPECT_FALSE(ahead.bring_expected());
  ahead.use(first);
  EXPECT_FALSE(ahead.bring_expected());
  ahead.use(second);
  EXPECT_FALSE(ahead.bring_expected());
  ahead.use(first);
  EXPECT_TRUE(ahead.bring_expected());  // all of it, which is one piece
  EXPECT_FALSE(ahead.bring(second));
  EXPECT_TRUE(ahead.bring(first));
}

}  // namespace
}  // namespace spillway::ops
