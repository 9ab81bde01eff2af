#include "base/printable.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(Printable, KeepsAsciiAndEscapesTheRest) {
  EXPECT_EQ(printable("blk.0.attn_q.weight ~"), "blk.0.attn_q.weight ~");
  EXPECT_EQ(printable(std::string_view("\x1b[2J\0\n\x7f", 7)), "\\x1b[2J\\x00\\x0a\\x7f");
  EXPECT_EQ(printable("\xc3\xa9"), "\\xc3\\xa9");
}

}  // namespace
}  // namespace spillway
