#include "base/units.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(ParseSize, TakesTheUnitsThatPeopleWrite) {
  EXPECT_EQ(parse_size("64MiB").value(), 64 * kMiB);
  EXPECT_EQ(parse_size("12GiB").value(), 12 * kGiB);
  EXPECT_EQ(parse_size("1.5GB").value(), 1'500'000'000u);
  EXPECT_EQ(parse_size("800kB").value(), 800'000u);
  EXPECT_EQ(parse_size("4096").value(), 4096u);
  EXPECT_EQ(parse_size("1EiB").value(), 1ULL << 60);
  EXPECT_EQ(parse_size("0").value(), 0u);
  EXPECT_EQ(parse_size("2G").value(), 2 * kGiB);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "MiB", "-1MiB", "64 MiBs", "12XB", "nan", "1e3", "0x10", "16EiB", "99999999999EB"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size.has_value()) << text;
    EXPECT_EQ(size.error().code, ErrorCode::kUsage) << text;
  }
}

TEST(FormatSize, PicksTheUnit) {
  EXPECT_EQ(format_size(17), "17 B");
  EXPECT_EQ(format_size(64 * kMiB), "64.0 MiB");
  EXPECT_EQ(format_size(98'362'432), "93.8 MiB");
}

}  // namespace
}  // namespace spillway
