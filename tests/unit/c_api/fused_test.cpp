#include <array>

#include "c_api.h"

namespace spillway::c_api {
namespace {

class CFused : public CPool {
 protected:
  std::array<float, 8> x_{};
  std::array<float, 8> y_{};
};

TEST_F(CFused, EveryOperationIsStarted) {
  const spillway_squares squares = {.size = sizeof squares,
                                    .x = x_.data(),
                                    .to = y_.data(),
                                    .count = 0,
                                    .dtype = SPILLWAY_F32,
                                    .reserved = 0};
  SPILLWAY_C_OK(spillway_square(pool_, &squares, nullptr));
  spillway_norm_options norm = {.size = sizeof norm,
                                .x = x_.data(),
                                .means = x_.data(),
                                .weight = x_.data(),
                                .y = y_.data(),
                                .rows = 0,
                                .columns = 8,
                                .epsilon = 1e-5F,
                                .dtype = SPILLWAY_BF16};
  SPILLWAY_C_OK(spillway_norm_rows(pool_, &norm, nullptr));
  norm.rows = 1;
  EXPECT_EQ(spillway_norm_row(pool_, &norm, SPILLWAY_DOUBLING, nullptr), SPILLWAY_USAGE);
  EXPECT_EQ(spillway_norm_row(pool_, &norm, 7, nullptr), SPILLWAY_USAGE);
  norm.means = nullptr;
  EXPECT_EQ(spillway_norm_rows(pool_, &norm, nullptr), SPILLWAY_USAGE);
  spillway_silu_options silu = {.size = sizeof silu,
                                .x = x_.data(),
                                .factor = x_.data(),
                                .y = y_.data(),
                                .count = 0,
                                .dtype = SPILLWAY_F16,
                                .reserved = 0};
  SPILLWAY_C_OK(spillway_silu_times(pool_, &silu, nullptr));
  silu.reserved = 1;
  EXPECT_EQ(spillway_silu_times(pool_, &silu, nullptr), SPILLWAY_USAGE);
  spillway_two_copies copies = {.size = sizeof copies,
                                .from = {x_.data(), x_.data()},
                                .to = {y_.data(), y_.data()},
                                .bytes = 0};
  SPILLWAY_C_OK(spillway_copy_two(pool_, &copies, nullptr));
  copies.to[1] = nullptr;
  EXPECT_EQ(spillway_copy_two(pool_, &copies, nullptr), SPILLWAY_USAGE);
}

TEST_F(CFused, AnglesAreOfAllSequencesOrOfEach) {
  spillway_rotation rotation = {.size = sizeof rotation,
                                .q = x_.data(),
                                .k = x_.data(),
                                .cos = x_.data(),
                                .sin = x_.data(),
                                .q_to = y_.data(),
                                .k_to = y_.data(),
                                .batch = 0,
                                .q_heads = 1,
                                .k_heads = 1,
                                .dim = 4,
                                .angles = 1,
                                .dtype = SPILLWAY_F32,
                                .reserved = 0};
  SPILLWAY_C_OK(spillway_rotate(pool_, &rotation, nullptr));
  rotation.batch = 3;
  rotation.angles = 2;
  EXPECT_EQ(spillway_rotate(pool_, &rotation, nullptr), SPILLWAY_USAGE);
  rotation.angles = 3;
  rotation.dtype = 5;
  EXPECT_EQ(spillway_rotate(pool_, &rotation, nullptr), SPILLWAY_USAGE);
}

}  // namespace
}  // namespace spillway::c_api
