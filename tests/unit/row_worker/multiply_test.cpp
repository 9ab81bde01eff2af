// Products that a stream has in one call, x and y elsewhere.
#include <cstring>

#include "row_workers.h"

namespace spillway::ops {
namespace {

TEST_F(RowWorkers, MultiplyWhatLiesElsewhere) {
  const size_t y_count = kTokens * kRows;
  auto other = os_->reserve((x_.size() + y_count) * sizeof(float)).value();
  ASSERT_TRUE(other->commit(0, other->bytes().size()).has_value());
  ASSERT_TRUE(simulated_->register_host(other->bytes()).has_value());
  auto* const x = reinterpret_cast<float*>(other->bytes().data());
  float* const y = x + x_.size();
  for (const float factor : {1.0F, 3.0F}) {
    for (size_t i = 0; i < x_.size(); ++i) x[i] = factor * x_[i];
    ASSERT_TRUE(channel_->multiply(job(), x, y, stream_).has_value());
    ASSERT_TRUE(gpu_.synchronise(stream_).has_value());
    expect_y(factor);
    EXPECT_EQ(std::memcmp(y, channel_->y(), y_count * sizeof(float)), 0);
  }
  // Without a kernel nothing was started.
  gpu_.fail_call(GpuCall::kLaunch, 1, false);
  EXPECT_FALSE(channel_->multiply(job(), x, y, stream_).has_value());
  ASSERT_TRUE(gpu_.synchronise(stream_).has_value());
  EXPECT_EQ(worker_->statistics().jobs, 2u);
  EXPECT_FALSE(channel_->multiply(job(kTokens + 1), x, y, stream_).has_value());
  ASSERT_TRUE(simulated_->unregister_host(other->bytes().data()).has_value());
}

}  // namespace
}  // namespace spillway::ops
