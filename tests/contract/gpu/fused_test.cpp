// Joined operations round where those that they join do, and add up in the order that is asked for.
#include "fused.h"

#include <array>
#include <cmath>
#include <vector>

namespace spillway::platform {
namespace {

TEST_P(GpuFused, SquaresAreThoseOfFloats) {
  for (const DType dtype : kDTypes) {
    start_again();
    const auto x = values(dtype, 3001);
    auto* const to = room(x.size() * 4);
    must(ops::square(
        gpu(),
        {.dtype = dtype, .x = put(dtype, x), .to = reinterpret_cast<float*>(to), .count = x.size()},
        stream()));
    const auto found = get(DType::kF32, to, x.size());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(found[i], x[i] * x[i]) << i;
  }
}

TEST_P(GpuFused, RowsAreScaledByTheirMeans) {
  constexpr size_t kRows = 3;
  constexpr size_t kColumns = 700;
  const std::vector<float> means{0.25F, 1.0F, 30.0F};
  for (const DType dtype : kDTypes) {
    start_again();
    const auto x = values(dtype, kRows * kColumns);
    const auto weight = values(dtype, kColumns);
    auto* const y = room(x.size() * size_of(dtype));
    must(ops::norm_rows(gpu(),
                        {.dtype = dtype,
                         .x = put(dtype, x),
                         .means = reinterpret_cast<float*>(put(DType::kF32, means)),
                         .weight = put(dtype, weight),
                         .y = y,
                         .rows = kRows,
                         .columns = kColumns,
                         .epsilon = kEpsilon},
                        stream()));
    const auto found = get(dtype, y, x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const float scaled = x[i] / std::sqrt(means[i / kColumns] + kEpsilon);
      const float wanted = weight[i % kColumns] * rounded(dtype, scaled);
      // A square root that is rounded otherwise may be seen twice.
      ASSERT_NEAR(
          found[i], wanted,
          last_place(dtype, wanted) + std::abs(weight[i % kColumns]) * last_place(dtype, scaled))
          << i;
    }
  }
}

TEST_P(GpuFused, OneRowIsScaledByItsOwnMean) {
  for (const size_t columns : {256U, 576U, 5120U, 65536U}) {
    for (const DType dtype : kDTypes) {
      start_again();
      const auto x = values(dtype, columns);
      auto* const from = put(dtype, x);
      auto* const weight = put(dtype, std::vector<float>(columns, 2.0F));
      double squares = 0;
      for (const float value : x) squares += double{value} * value;
      const double scale = 1 / std::sqrt(squares / static_cast<double>(columns) + kEpsilon);
      for (const auto order : {ops::SumOrder::kHalving, ops::SumOrder::kDoubling}) {
        auto* const y = room(columns * size_of(dtype));
        must(ops::norm_row(gpu(),
                           {.dtype = dtype,
                            .x = from,
                            .weight = weight,
                            .y = y,
                            .rows = 1,
                            .columns = columns,
                            .epsilon = kEpsilon},
                           order, stream()));
        const auto found = get(dtype, y, columns);
        for (size_t i = 0; i < columns; ++i) {
          const auto wanted = static_cast<float>(2 * x[i] * scale);
          ASSERT_NEAR(found[i], wanted, 4 * last_place(dtype, wanted)) << i;
        }
      }
    }
  }
}

// Thread 0 has 2^24, which a 1 that is added to it alone does not change, and a 2 does. An epsilon
// takes away nearly all of the mean, 2^16.
TEST_P(GpuFused, TheOrderIsTheOneAskedFor) {
  constexpr size_t kColumns = 256;  // of 64 threads
  std::vector<float> x(kColumns, 0.0F);
  x[0] = 4096.0F;
  x[4] = 1.0F;   // of thread 1, which thread 0 gets first by doubling, and last by halving:
  x[12] = 1.0F;  // with thread 3's by then
  const auto scale_of = [&](ops::SumOrder order) {
    start_again();
    auto* const y = room(kColumns * 4);
    must(ops::norm_row(gpu(),
                       {.x = put(DType::kF32, x),
                        .weight = put(DType::kF32, std::vector<float>(kColumns, 1.0F)),
                        .y = y,
                        .rows = 1,
                        .columns = kColumns,
                        .epsilon = 0x1p-7F - 0x1p16F},
                       order, stream()));
    return get(DType::kF32, y, kColumns)[4];
  };
  EXPECT_NEAR(scale_of(ops::SumOrder::kHalving), 8.0F, 1e-5F);  // 1 / sqrt(2^-6)
  EXPECT_NEAR(scale_of(ops::SumOrder::kDoubling), 11.3137F, 1e-4F);
}

TEST_P(GpuFused, SiluIsRoundedBeforeTheProduct) {
  for (const DType dtype : kDTypes) {
    start_again();
    const auto x = values(dtype, 5000);
    const auto factor = values(dtype, 5000);
    auto* const y = room(x.size() * size_of(dtype));
    must(ops::silu_times(gpu(),
                         {.dtype = dtype,
                          .x = put(dtype, x),
                          .factor = put(dtype, factor),
                          .y = y,
                          .count = x.size()},
                         stream()));
    const auto found = get(dtype, y, x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const float silu = x[i] / (1 + std::exp(-x[i]));
      const float wanted = factor[i] * rounded(dtype, silu);
      ASSERT_NEAR(found[i], wanted,
                  last_place(dtype, wanted) + std::abs(factor[i]) * 2 * last_place(dtype, silu))
          << i;
    }
  }
}

TEST_P(GpuFused, HeadsAreTurnedByTheirAngles) {
  constexpr size_t kBatch = 2;
  constexpr size_t kDim = 96;
  for (const DType dtype : kDTypes) {
    for (const size_t angles : {size_t{1}, kBatch}) {
      start_again();
      const auto cos = values(dtype, angles * kDim);
      const auto sin = values(dtype, angles * kDim);
      const std::array heads{size_t{5}, size_t{3}};
      std::array<std::vector<float>, 2> from;
      std::array<std::byte*, 2> in{};
      std::array<std::byte*, 2> out{};
      for (size_t i = 0; i < 2; ++i) {
        from[i] = values(dtype, kBatch * heads[i] * kDim);
        in[i] = put(dtype, from[i]);
        out[i] = room(from[i].size() * size_of(dtype));
      }
      must(ops::rotate(gpu(),
                       {.dtype = dtype,
                        .q = in[0],
                        .k = in[1],
                        .cos = put(dtype, cos),
                        .sin = put(dtype, sin),
                        .q_to = out[0],
                        .k_to = out[1],
                        .batch = kBatch,
                        .q_heads = heads[0],
                        .k_heads = heads[1],
                        .dim = kDim,
                        .same_for_all = angles == 1},
                       stream()));
      for (size_t i = 0; i < 2; ++i) {
        const auto found = get(dtype, out[i], from[i].size());
        for (size_t at = 0; at < from[i].size(); ++at) {
          const size_t column = at % kDim;
          const float other = column < kDim / 2 ? -from[i][at + kDim / 2] : from[i][at - kDim / 2];
          const size_t angle = (angles == 1 ? 0 : at / kDim / heads[i] * kDim) + column;
          ASSERT_EQ(found[at], rounded(dtype, rounded(dtype, from[i][at] * cos[angle]) +
                                                  rounded(dtype, other * sin[angle])))
              << at;
        }
      }
    }
  }
}

TEST_P(GpuFused, TwoPlacesAreCopiedAtOnce) {
  const std::array from{values(DType::kF32, 1027), values(DType::kF32, 1027)};
  const std::array in{put(DType::kF32, from[0]), put(DType::kF32, from[1])};
  const std::array to{room(1028 * 4), room(1028 * 4)};
  must(ops::copy_two(gpu(), {.from = {in[0], in[1]}, .to = {to[0], to[1]}, .bytes = 1027 * 4},
                     stream()));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(get(DType::kF32, to[i], 1027), from[i]);
    EXPECT_TRUE(all_equal(to[i] + 1027 * 4, 0xFF, 4));
  }
}

TEST_P(GpuFused, WhatDoesNotFitIsRefused) {
  auto* const at = room(4096);
  expect_error(ops::square(gpu(), {.dtype = DType::kQ8_0, .x = at, .count = 1}, stream()),
               ErrorCode::kUsage);
  expect_error(ops::silu_times(gpu(), {.dtype = DType::kQ4_0, .x = at, .count = 1}, stream()),
               ErrorCode::kUsage);
  expect_error(ops::rotate(gpu(), {.q = at, .k = at, .batch = 1, .dim = 3}, stream()),
               ErrorCode::kUsage);
  for (const size_t columns : {128U, 258U, 131072U}) {
    expect_error(ops::norm_row(gpu(), {.x = at, .rows = 1, .columns = columns},
                               ops::SumOrder::kHalving, stream()),
                 ErrorCode::kUsage);
  }
  expect_error(
      ops::norm_row(gpu(), {.x = at, .rows = 2, .columns = 256}, ops::SumOrder::kHalving, stream()),
      ErrorCode::kUsage);
  expect_error(ops::copy_two(gpu(), {.from = {at, at}, .to = {at, at}, .bytes = 6}, stream()),
               ErrorCode::kUsage);
  expect_error(ops::copy_two(gpu(), {.from = {at, at + 2}, .to = {at, at}, .bytes = 4}, stream()),
               ErrorCode::kUsage);
  must(ops::square(gpu(), {.x = at, .count = 0}, stream()));
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuFused, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform
