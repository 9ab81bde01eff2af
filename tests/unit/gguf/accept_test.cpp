// Sound files: every type of value, every layout of tensors, and what is found in them.

#include "parse.h"

namespace spillway::formats {
namespace {

TEST(GgufAccept, Smoke) {
  GgufBuilder builder;
  builder.add("a", uint32_t{7}).add("s", "text").add_array<std::string>("t", {"x", "yz"});
  builder.add_tensor("w", DType::kF32, {4, 2}, std::vector<std::byte>(32));
  const auto file = GgufFile::parse(MemoryFile(builder.build()));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->unsigned_value("a").value(), 7U);
}

}  // namespace
}  // namespace spillway::formats
