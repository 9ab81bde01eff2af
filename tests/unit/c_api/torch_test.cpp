#include <gmock/gmock.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "base/result.h"
#include "c_api/torch_memory.h"
#include "spillway/spillway.h"

namespace spillway::c_api {
namespace {

using ::testing::HasSubstr;

Result<std::unique_ptr<memory::Pool>> simulate(int) {
  return memory::Pool::simulate(64 << 20, {});
}

TEST(TorchMemory, OpensEachGpuOnce) {
  std::atomic<int> opened = 0;
  TorchMemory memory([&](int device) {
    ++opened;
    return simulate(device);
  });
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, device = thread % 2] {
      const auto pointer = memory.allocate(device, {}, 1000);
      ASSERT_TRUE(pointer) << pointer.error().message;
      memory.deallocate(device, {}, *pointer);
    });
  }
  threads.clear();
  EXPECT_EQ(opened, 2);
}

TEST(TorchMemory, AGpuThatCouldNotBeOpenedIsTriedAgain) {
  bool works = false;
  TorchMemory memory([&](int device) -> Result<std::unique_ptr<memory::Pool>> {
    if (!works) return fail(ErrorCode::kMachine, "GPU {} is busy", device);
    return simulate(device);
  });
  EXPECT_THAT(memory.allocate(3, {}, 1).error().message, HasSubstr("GPU 3 is busy"));
  works = true;
  const auto pointer = memory.allocate(3, {}, 1);
  ASSERT_TRUE(pointer) << pointer.error().message;
  memory.deallocate(3, {}, *pointer);
}

TEST(TorchMemory, NumbersOfGpusAreChecked) {
  TorchMemory memory(simulate);
  for (int device : {-1, 64, 1 << 30}) {
    EXPECT_EQ(memory.allocate(device, {}, 1).error().code, ErrorCode::kUsage);
    memory.deallocate(device, {}, &memory);
  }
  memory.deallocate(0, {}, &memory);  // nothing is open: nothing happens
}

TEST(TorchMemory, ABudgetThatIsNoSizeIsNamed) {
  setenv("SPILLWAY_HBM_BUDGET", "plenty", 1);
  EXPECT_EQ(spillway_torch_allocate(1000, 0, nullptr), nullptr);
  EXPECT_THAT(spillway_last_error(), HasSubstr("SPILLWAY_HBM_BUDGET: 'plenty' is not a size"));
  unsetenv("SPILLWAY_HBM_BUDGET");
  setenv("SPILLWAY_HOST_BUDGET", "-1", 1);
  EXPECT_EQ(spillway_torch_allocate(1000, 0, nullptr), nullptr);
  EXPECT_THAT(spillway_last_error(), HasSubstr("SPILLWAY_HOST_BUDGET"));
  unsetenv("SPILLWAY_HOST_BUDGET");
}

TEST(TorchMemory, AGpuThatIsNotThereIsNullAndAText) {
  EXPECT_EQ(spillway_torch_allocate(1000, 63, nullptr), nullptr);
  EXPECT_STRNE(spillway_last_error(), "");
  spillway_torch_deallocate(nullptr, 0, 63, nullptr);
}

}  // namespace
}  // namespace spillway::c_api
