// Handles of a simulated GPU that are larger than this machine: only what is written takes memory.
#include <gtest/gtest.h>

#include "base/units.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::platform {
namespace {

class SparseMemory : public testing::Test {
 protected:
  std::byte* map(Place place, size_t bytes) {
    std::byte* const at = gpu_->reserve(bytes, 0).value();
    EXPECT_TRUE(gpu_->map(at, bytes, gpu_->create(bytes, place).value()));
    EXPECT_TRUE(gpu_->allow_access(at, bytes, place));
    return at;
  }
  void copy(std::byte* to, const std::byte* from, size_t bytes) {
    ASSERT_TRUE(gpu_->copy(CopyRequest{to, from, bytes}, {}));
    ASSERT_TRUE(gpu_->synchronise({}));
  }
  void fill(std::byte* at, int value, size_t bytes) {
    ASSERT_TRUE(gpu_->fill(at, static_cast<std::byte>(value), bytes, {}));
    ASSERT_TRUE(gpu_->synchronise({}));
  }

  std::unique_ptr<SimulatedGpu> gpu_ = make_simulated_gpu(described_gh200());
};

TEST_F(SparseMemory, HasTheSizesOfAGh200) {
  EXPECT_EQ(gpu_->info().total_bytes, 96'000'000'000U);
  EXPECT_TRUE(gpu_->info().coherent);
  EXPECT_EQ(gpu_->info().granularity, 2 * kMiB);
  EXPECT_TRUE(gpu_->create(44 * kGiB, Place::kDevice));
  EXPECT_FALSE(gpu_->create(46 * kGiB, Place::kDevice));
  EXPECT_TRUE(gpu_->create(447 * kGiB, Place::kHost));
  EXPECT_FALSE(gpu_->create(kGiB, Place::kHost));
  EXPECT_EQ(gpu_->written_bytes(), 0U);
}

TEST_F(SparseMemory, CopiesOnlyWhatIsWritten) {
  std::byte* const host = map(Place::kHost, 30 * kGiB);
  std::byte* const device = map(Place::kDevice, 30 * kGiB);
  host[20 * kGiB + 5] = std::byte{7};
  device[3 * kGiB] = std::byte{9};
  copy(device, host, 30 * kGiB);
  EXPECT_EQ(gpu_->written_bytes(), 2 * 4 * kKiB);
  EXPECT_EQ(device[20 * kGiB + 5], std::byte{7});
  EXPECT_EQ(device[3 * kGiB], std::byte{0});
}

// As extents lie: several handles side by side, at both ends in different places.
TEST_F(SparseMemory, CopiesAcrossHandles) {
  std::byte* const from = gpu_->reserve(8 * kMiB, 0).value();
  for (size_t i = 0; i < 4; ++i) {
    const HandleId handle = gpu_->create(2 * kMiB, Place::kDevice).value();
    ASSERT_TRUE(gpu_->map(from + (3 - i) * 2 * kMiB, 2 * kMiB, handle));  // not as in the file
  }
  ASSERT_TRUE(gpu_->allow_access(from, 8 * kMiB, Place::kDevice));
  std::byte* const to = map(Place::kHost, 10 * kMiB);
  fill(to, 1, 10 * kMiB);
  for (size_t i = 0; i < 4; ++i) from[i * 2 * kMiB + 100 + i] = static_cast<std::byte>(10 + i);
  copy(to + kMiB, from, 8 * kMiB);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(to[kMiB + i * 2 * kMiB + 100 + i], static_cast<std::byte>(10 + i));
  }
  EXPECT_EQ(to[kMiB - 1], std::byte{1});
  EXPECT_EQ(to[kMiB], std::byte{0});
  EXPECT_EQ(to[9 * kMiB - 1], std::byte{0});
  EXPECT_EQ(to[9 * kMiB], std::byte{1});
  EXPECT_LT(gpu_->written_bytes(), 2 * kMiB + 16 * 4 * kKiB);
}

TEST_F(SparseMemory, OtherHostMemoryIsCopiedAsItIs) {
  std::vector<std::byte> host(4 * kMiB, std::byte{3});
  std::byte* const device = map(Place::kDevice, 4 * kMiB);
  copy(device + 1, host.data(), 2 * kMiB);
  EXPECT_EQ(device[2 * kMiB], std::byte{3});
  EXPECT_EQ(device[2 * kMiB + 1], std::byte{0});
  fill(device, 0, 4 * kMiB);
  copy(host.data(), device, 3 * kMiB);
  EXPECT_EQ(host[3 * kMiB - 1], std::byte{0});
  EXPECT_EQ(host[3 * kMiB], std::byte{3});
}

TEST_F(SparseMemory, FillsWithZeroTakeNoMemory) {
  std::byte* const device = map(Place::kDevice, 20 * kGiB);
  fill(device + kGiB, 1, 2 * kMiB);
  fill(device, 0, 20 * kGiB);
  EXPECT_EQ(gpu_->written_bytes(), 0U);
  EXPECT_EQ(device[kGiB], std::byte{0});
}

}  // namespace
}  // namespace spillway::platform
