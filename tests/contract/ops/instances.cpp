#include "ops_contract.h"

namespace spillway::ops {

INSTANTIATE_TEST_SUITE_P(Cpu, OpsContract, ::testing::ValuesIn(cpu_instruction_sets()),
                         [](const auto& set) { return set.param; });

TEST(CpuInstructionSets, AreMadeByNameAndTheBestIsTheDefault) {
  ThreadPool pool(1);
  const std::vector<std::string> names = cpu_instruction_sets();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back(), "scalar");
  EXPECT_EQ(make_cpu_ops(pool)->instruction_set(), names.front());
  for (const std::string& name : names)
    EXPECT_EQ(make_cpu_ops(pool, name)->instruction_set(), name);
  EXPECT_EQ(make_cpu_ops(pool, "AVX9"), nullptr);
}

}  // namespace spillway::ops
