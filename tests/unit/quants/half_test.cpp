#include "ops/cpu/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace spillway::ops::cpu {
namespace {

TEST(Half, EveryF16SurvivesTheWayThroughF32) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      ASSERT_EQ(f32_to_f16(value), half);
    }
  }
}

TEST(Half, RoundsToNearestAndTiesToEven) {
  for (uint16_t half = 0; half < 0x7BFF; ++half) {  // each finite one and its upper neighbour
    const auto upper = static_cast<uint16_t>(half + 1);
    const float middle = (f16_to_f32(half) + f16_to_f32(upper)) / 2.0F;
    const float infinity = std::numeric_limits<float>::infinity();
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0F)), half);
    ASSERT_EQ(f32_to_f16(middle), half % 2 == 0 ? half : upper);
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, infinity)), upper);
    ASSERT_EQ(f32_to_f16(-middle), 0x8000 | (half % 2 == 0 ? half : upper));
  }
}

TEST(Half, KnowsItsLimits) {
  EXPECT_EQ(f16_to_f32(0x7BFF), 65504.0F);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24F);
  EXPECT_EQ(f32_to_f16(65519.9F), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);
  EXPECT_EQ(f32_to_f16(1e30F), 0x7C00);
  EXPECT_EQ(f32_to_f16(-1e-10F), 0x8000);
  EXPECT_EQ(bf16_to_f32(0x3F80), 1.0F);
}

}  // namespace
}  // namespace spillway::ops::cpu
