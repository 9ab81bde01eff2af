// What people read who have no GPU, or not the one they asked for.
#include "platform/cuda_gpu.h"

#include <gmock/gmock.h>

namespace spillway::platform {
namespace {

TEST(CudaGpu, SaysWhatToDoWhereThereIsNoDriver) {
  const auto count = cuda_gpu_count();
  if (count) GTEST_SKIP() << "there is a driver";
  EXPECT_EQ(count.error().code, ErrorCode::kMachine);
  EXPECT_THAT(
      count.error().message,
      testing::AnyOf(testing::HasSubstr("no NVIDIA driver here (libcuda.so.1"),
                     testing::HasSubstr("without CUDA"), testing::HasSubstr(" failed with ")));
  const auto gpu = open_cuda_gpu(0);
  ASSERT_FALSE(gpu.has_value());
  EXPECT_EQ(gpu.error().code, ErrorCode::kMachine);
  EXPECT_EQ(gpu.error().message, count.error().message);
}

TEST(CudaGpu, RefusesNumbersOfNoGpu) {
  const auto count = cuda_gpu_count();
  if (!count) GTEST_SKIP() << count.error().message;
  for (const int ordinal : {-1, *count, 1000}) {
    const auto gpu = open_cuda_gpu(ordinal);
    ASSERT_FALSE(gpu.has_value());
    EXPECT_EQ(gpu.error().code, ErrorCode::kUsage);
    EXPECT_THAT(gpu.error().message, testing::HasSubstr("this machine shows"));
  }
}

TEST(CudaGpu, IsOpenedTwice) {
  if (auto count = cuda_gpu_count(); !count) GTEST_SKIP() << count.error().message;
  const auto first = open_cuda_gpu(0);
  const auto second = open_cuda_gpu(0);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  ASSERT_TRUE(second.has_value()) << second.error().message;
  const auto stream = (*first)->create_stream();
  ASSERT_TRUE(stream.has_value()) << stream.error().message;
  // One context: streams of one are streams of the other, as those of PyTorch are ours.
  EXPECT_TRUE((*second)->synchronise(*stream).has_value());
  EXPECT_TRUE((*second)->destroy_stream(*stream).has_value());
}

}  // namespace
}  // namespace spillway::platform
