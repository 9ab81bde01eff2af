// What every GPU with managed memory promises of it.
#include "environment.h"

namespace spillway::platform {
namespace {

class ManagedMemory : public GpuContract {
 protected:
  void SetUp() override {
    GpuContract::SetUp();
    if (IsSkipped()) return;
    if (!gpu().info().managed) GTEST_SKIP() << "there is no managed memory";
  }
};

TEST_P(ManagedMemory, KeepsItsBytesWhereverItLies) {
  const size_t bytes = 4 * granularity();
  std::byte* const start = must(gpu().allocate_managed(bytes));
  must(gpu().prefer(start, bytes, Place::kDevice));
  must(gpu().prefetch(start, bytes, Place::kDevice, stream()));
  must(gpu().fill(start, std::byte{7}, bytes, stream()));
  must(gpu().synchronise(stream()));
  for (const Place place : {Place::kHost, Place::kDevice, Place::kHost}) {
    must(gpu().prefer(start, bytes, place));
    must(gpu().prefetch(start, bytes, place, stream()));
    must(gpu().synchronise(stream()));
    EXPECT_TRUE(all_equal(start, 7, bytes));
  }
  EXPECT_EQ(start[0], std::byte{7}) << "the CPU reads it, too";
  EXPECT_EQ(start[bytes - 1], std::byte{7});
  must(gpu().free_managed(start, bytes));
}

TEST_P(ManagedMemory, RefusesSizesThatAreNoWholeGranules) {
  expect_error(gpu().allocate_managed(granularity() + 1), ErrorCode::kUsage);
  std::byte* const start = must(gpu().allocate_managed(granularity()));
  expect_error(gpu().prefer(start, 1, Place::kHost), ErrorCode::kUsage);
  expect_error(gpu().prefetch(start, 1, Place::kHost, stream()), ErrorCode::kUsage);
  must(gpu().free_managed(start, granularity()));
}

INSTANTIATE_TEST_SUITE_P(Gpus, ManagedMemory, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform
