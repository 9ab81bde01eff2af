#include "environment.h"

namespace spillway::platform {
namespace {

using PlatformMachine = PlatformContract;

TEST_P(PlatformMachine, SaysWhatItIs) {
  EXPECT_FALSE(platform().name().empty());
  EXPECT_FALSE(platform().processor().name.empty());
  EXPECT_GE(platform().processor().cores, 1u);
  EXPECT_GE(platform().page_bytes(), 4096u);
  EXPECT_EQ(platform().page_bytes() & (platform().page_bytes() - 1), 0u);
}

TEST_P(PlatformMachine, SaysWhatItsHostIs) {
  const HostFacts facts = platform().host_facts();
  EXPECT_EQ(facts.page_bytes, platform().page_bytes());
  EXPECT_GE(facts.allowed_cpus.size(), platform().processor().cores);
  for (const NumaNode& node : facts.nodes) {
    EXPECT_GT(node.total_bytes, 0u);
    EXPECT_LE(node.available_bytes, node.total_bytes);
  }
}

TEST_P(PlatformMachine, KeepsItsId) {
  const std::string id = platform().machine_id();
  EXPECT_FALSE(id.empty());
  EXPECT_EQ(platform().machine_id(), id);
  EXPECT_EQ(GetParam().make()->platform().machine_id(), id);
  // It becomes the name of a file.
  EXPECT_EQ(id.find_first_of("/ \n"), std::string::npos) << id;
}

TEST_P(PlatformMachine, TimeDoesNotGoBack) {
  const double start = platform().clock().seconds();
  const auto file = file_of(100000);
  std::vector<std::byte> target(100000);
  ASSERT_TRUE(file->read(0, target).has_value());
  EXPECT_GT(platform().clock().seconds(), start);
}

INSTANTIATE_TEST_SUITE_P(Platforms, PlatformMachine, testing::ValuesIn([] {
                           auto kinds = environment_kinds();
                           return std::vector{kinds.front(), kinds.back()};
                         }()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace spillway::platform
