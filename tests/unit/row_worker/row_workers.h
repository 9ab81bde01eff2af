// A worker of two threads with a channel, on a simulated GPU that fails when told to.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "ops/row_worker.h"
#include "platform/faulty_gpu.h"
#include "platform/linux/linux_platform.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::ops {

using platform::FaultyGpu;
using platform::GpuCall;

inline constexpr size_t kColumns = 300;
inline constexpr size_t kRows = 37;
inline constexpr size_t kTokens = 3;

class RowWorkers : public ::testing::Test {
 protected:
  RowWorkers() {
    memory_ = os_->reserve(RowChannel::memory_bytes(kTokens * kColumns, kTokens * kRows)).value();
    EXPECT_TRUE(memory_->commit(0, memory_->bytes().size()).has_value());
    EXPECT_TRUE(simulated_->register_host(memory_->bytes()).has_value());
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (float& value : weight_) value = normal(random);
    for (float& value : x_) value = normal(random);
    worker_.emplace(gpu_, os_->clock(), 2);
    channel_.emplace(*worker_, memory_->bytes(), kTokens * kColumns, kTokens * kRows);
  }

  RowJob job(size_t tokens = kTokens) const {
    return {.weight = {.dtype = DType::kF32,
                       .data = reinterpret_cast<const std::byte*>(weight_.data()),
                       .rows = kRows,
                       .columns = kColumns},
            .tokens = tokens};
  }
  void write_x(float factor) {
    for (size_t i = 0; i < x_.size(); ++i) channel_->x()[i] = factor * x_[i];
  }
  void expect_y(float factor) const {
    for (size_t t = 0; t < kTokens; ++t) {
      for (size_t r = 0; r < kRows; ++r) {
        double sum = 0;
        for (size_t c = 0; c < kColumns; ++c) {
          sum += static_cast<double>(weight_[r * kColumns + c]) *
                 static_cast<double>(x_[t * kColumns + c]);
        }
        ASSERT_NEAR(static_cast<double>(channel_->y()[t * kRows + r]),
                    static_cast<double>(factor) * sum, 1e-3);
      }
    }
  }

  const std::unique_ptr<platform::Platform> os_ = platform::make_linux_platform();
  const std::unique_ptr<platform::SimulatedGpu> simulated_ = platform::make_simulated_gpu({});
  FaultyGpu gpu_{*simulated_};
  std::unique_ptr<platform::AddressRange> memory_;
  std::vector<float> weight_ = std::vector<float>(kRows * kColumns);
  std::vector<float> x_ = std::vector<float>(kTokens * kColumns);
  std::optional<RowWorker> worker_;
  std::optional<RowChannel> channel_;
  const Stream stream_;
};

}  // namespace spillway::ops
