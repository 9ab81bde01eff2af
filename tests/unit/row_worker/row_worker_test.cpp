#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "row_workers.h"

namespace spillway::ops {
namespace {

using ::testing::HasSubstr;

TEST_F(RowWorkers, ComputeWithoutAStream) {
  for (const float factor : {1.0F, -2.0F, 0.5F}) {
    write_x(factor);
    ASSERT_TRUE(channel_->compute(job()).has_value());
    expect_y(factor);
  }
  EXPECT_EQ(worker_->statistics().jobs, 3u);
  EXPECT_EQ(worker_->statistics().bytes, 3 * kRows * kColumns * sizeof(float));
  EXPECT_GT(worker_->statistics().busy_seconds, 0);
}

TEST_F(RowWorkers, AStreamWritesXAndReadsY) {
  // What a stream does: x into the channel, and y out of it, many jobs before the first one runs.
  constexpr int kJobs = 200;
  const size_t x_bytes = x_.size() * sizeof(float);
  const size_t y_bytes = kTokens * kRows * sizeof(float);
  auto other = os_->reserve(x_bytes + kJobs * y_bytes).value();
  ASSERT_TRUE(other->commit(0, other->bytes().size()).has_value());
  ASSERT_TRUE(simulated_->register_host(other->bytes()).has_value());
  std::byte* const from = other->bytes().data();
  std::memcpy(from, x_.data(), x_bytes);
  for (int i = 0; i < kJobs; ++i) {
    std::byte* const x = reinterpret_cast<std::byte*>(channel_->x());
    const std::byte* const y = reinterpret_cast<const std::byte*>(channel_->y());
    // Zeros in between: a job that did not wait for its x would show.
    ASSERT_TRUE(gpu_.fill(x, std::byte{0}, x_bytes, stream_).has_value());
    ASSERT_TRUE(gpu_.copy(platform::CopyRequest{x, from, x_bytes}, stream_).has_value());
    ASSERT_TRUE(channel_->start(job(), stream_).has_value());
    ASSERT_TRUE(channel_->join(stream_).has_value());
    std::byte* const to = from + x_bytes + static_cast<size_t>(i) * y_bytes;
    ASSERT_TRUE(gpu_.copy(platform::CopyRequest{to, y, y_bytes}, stream_).has_value());
  }
  ASSERT_TRUE(gpu_.synchronise(stream_).has_value());
  expect_y(1);
  for (size_t i = 0; i < kJobs; ++i) {
    ASSERT_EQ(std::memcmp(from + x_bytes + i * y_bytes, channel_->y(), y_bytes), 0) << i;
  }
  EXPECT_EQ(worker_->statistics().jobs, static_cast<uint64_t>(kJobs));
  ASSERT_TRUE(simulated_->unregister_host(from).has_value());
}

TEST_F(RowWorkers, TheTimeOfTheLinkIsToldFromThatOfX) {
  // The stream comes to the job late; then its own rows are late, and the next job waits for them.
  const Stream stream = gpu_.create_stream().value();
  uint32_t* const gate = reinterpret_cast<uint32_t*>(memory_->bytes().data()) + 1;  // padding
  const auto wait = std::chrono::milliseconds(30);
  const auto open = [&](uint32_t value) {
    std::this_thread::sleep_for(wait);
    std::atomic_ref(*gate).store(value, std::memory_order_release);
  };
  ASSERT_TRUE(gpu_.wait_flag(gate, 1, stream).has_value());
  ASSERT_TRUE(channel_->start(job(), stream).has_value());
  ASSERT_TRUE(channel_->mark_link(true, stream).has_value());
  ASSERT_TRUE(gpu_.wait_flag(gate, 2, stream).has_value());
  ASSERT_TRUE(channel_->mark_link(false, stream).has_value());
  ASSERT_TRUE(channel_->join(stream).has_value());
  ASSERT_TRUE(channel_->start(job(), stream).has_value());
  ASSERT_TRUE(channel_->join(stream).has_value());
  open(1);
  const double before = worker_->statistics().link_seconds;
  open(2);
  ASSERT_TRUE(gpu_.synchronise(stream).has_value());
  const RowStatistics done = worker_->statistics();
  EXPECT_GT(done.x_seconds, 0.025);
  EXPECT_LT(before, 0.005);
  EXPECT_GT(done.link_seconds, 0.02);
  ASSERT_TRUE(gpu_.destroy_stream(stream).has_value());
}

TEST_F(RowWorkers, StreamsGoOnWhenAChannelIsDestroyed) {
  const Stream stream = gpu_.create_stream().value();
  uint32_t* const gate = reinterpret_cast<uint32_t*>(memory_->bytes().data()) + 1;
  ASSERT_TRUE(channel_->start(job(), stream).has_value());
  ASSERT_TRUE(channel_->join(stream).has_value());
  ASSERT_TRUE(gpu_.wait_flag(gate, 1, stream).has_value());
  ASSERT_TRUE(channel_->start(job(), stream).has_value());  // x never comes before it goes
  ASSERT_TRUE(channel_->join(stream).has_value());
  channel_.reset();
  std::atomic_ref(*gate).store(1, std::memory_order_release);
  ASSERT_TRUE(gpu_.synchronise(stream).has_value());
  EXPECT_LE(worker_->statistics().jobs, 1u);
  ASSERT_TRUE(gpu_.destroy_stream(stream).has_value());
}

TEST_F(RowWorkers, AFlagThatCannotBeWrittenLeavesNobodyWaiting) {
  // While the worker waits for the job before it, and while it waits for nothing else.
  const Stream stream = gpu_.create_stream().value();
  uint32_t* const gate = reinterpret_cast<uint32_t*>(memory_->bytes().data()) + 1;
  write_x(1);
  ASSERT_TRUE(gpu_.wait_flag(gate, 1, stream).has_value());
  ASSERT_TRUE(channel_->start(job(), stream).has_value());
  ASSERT_TRUE(channel_->join(stream).has_value());
  gpu_.fail_call(GpuCall::kWriteFlag, 1, false);
  EXPECT_FALSE(channel_->start(job(), stream).has_value());
  std::atomic_ref(*gate).store(1, std::memory_order_release);
  ASSERT_TRUE(gpu_.synchronise(stream).has_value());
  ASSERT_TRUE(gpu_.destroy_stream(stream).has_value());
  EXPECT_EQ(worker_->statistics().jobs, 1u);
  expect_y(1);
  for (int i = 0; i < 100; ++i) {  // the worker has often begun to wait when the call fails
    gpu_.fail_call(GpuCall::kWriteFlag, 1, false);
    EXPECT_FALSE(channel_->start(job(), stream_).has_value());
  }
  ASSERT_TRUE(channel_->compute(job()).has_value());
  expect_y(1);
  ASSERT_TRUE(channel_->start(job(), stream_).has_value());
  gpu_.fail_call(GpuCall::kWriteFlag, 1, false);
  EXPECT_FALSE(channel_->mark_link(true, stream_).has_value());
  gpu_.fail_call(GpuCall::kWaitFlag, 1, false);
  EXPECT_FALSE(channel_->join(stream_).has_value());
  ASSERT_TRUE(gpu_.synchronise(stream_).has_value());
  ASSERT_TRUE(channel_->compute(job()).has_value());
}

TEST_F(RowWorkers, WhatDoesNotFitIsRefused) {
  RowJob many = job(kTokens + 1);
  const auto refused = channel_->start(many, stream_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("4 tokens of 300 columns and 37 rows"));
  EXPECT_FALSE(channel_->compute(many).has_value());
  EXPECT_FALSE(channel_->compute(job(0)).has_value());
  many = job();
  many.weight.rows = SIZE_MAX;
  EXPECT_FALSE(channel_->compute(many).has_value());
}

// x_ as q of two heads of one KV head, whose keys and values are weight_'s first rows.
constexpr size_t kDim = 50;  // what was found fits into y

TEST_F(RowWorkers, AttendBetweenJobsOfRows) {
  const auto* const data = reinterpret_cast<const std::byte*>(weight_.data());
  const AttentionJob attention = {
      .stretches = {{data, data, 3}, {data + 3 * kDim * 4, data + 3 * kDim * 4, 4}},
      .heads = 2,
      .kv_heads = 1,
      .head_dim = kDim,
      .scale = 0.1F,
      .dtype = DType::kF32};
  write_x(1);
  ASSERT_TRUE(channel_->start(attention, stream_).has_value());
  ASSERT_TRUE(channel_->join(stream_).has_value());
  ASSERT_TRUE(gpu_.synchronise(stream_).has_value());
  const std::vector<float> found(channel_->y(), channel_->y() + 2 * (kDim + 1));
  ASSERT_TRUE(channel_->compute(job()).has_value());
  expect_y(1);
  ASSERT_TRUE(channel_->compute(attention).has_value());
  EXPECT_EQ(std::memcmp(found.data(), channel_->y(), found.size() * sizeof(float)), 0);
  for (size_t h = 0; h < 2; ++h) {
    double total = 0;
    std::vector<double> out(kDim);
    for (size_t t = 0; t < 7; ++t) {
      const float* const row = weight_.data() + t * kDim;
      double score = 0;
      for (size_t i = 0; i < kDim; ++i)
        score += static_cast<double>(x_[h * kDim + i]) * static_cast<double>(row[i]);
      const double weight = std::exp(0.1 * score);
      total += weight;
      for (size_t i = 0; i < kDim; ++i) out[i] += weight * static_cast<double>(row[i]);
    }
    for (size_t i = 0; i < kDim; ++i)
      ASSERT_NEAR(static_cast<double>(found[h * kDim + i]), out[i] / total, 1e-4);
    EXPECT_NEAR(static_cast<double>(found[2 * kDim + h]), std::log(total), 1e-4);
  }
  const RowStatistics done = worker_->statistics();
  EXPECT_EQ(done.jobs, 1u);
  EXPECT_EQ(done.attention_jobs, 2u);
  EXPECT_EQ(done.attention_bytes, 2 * 2 * 7 * kDim * sizeof(float));
  EXPECT_GT(done.attention_seconds, 0);
}

TEST_F(RowWorkers, AttentionThatCannotBeIsRefused) {
  const auto* const data = reinterpret_cast<const std::byte*>(weight_.data());
  const AttentionJob right = {
      .stretches = {{data, data, 3}}, .heads = 2, .kv_heads = 1, .head_dim = 30};
  ASSERT_TRUE(channel_->compute(right).has_value());
  const auto expect_refused = [&](const AttentionJob& job, const char* text) {
    const auto refused = channel_->compute(job);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, HasSubstr(text));
  };
  AttentionJob wrong = right;
  wrong.kv_heads = 0;
  expect_refused(wrong, "nothing to attend to");
  wrong.kv_heads = 3;
  expect_refused(wrong, "a multiple");
  wrong = right;
  wrong.stretches.clear();
  expect_refused(wrong, "0 stretches");
  wrong.stretches = {{data, nullptr, 3}};
  expect_refused(wrong, "nothing");
  wrong = right;
  wrong.heads = 2 * kMostPartGroup;
  expect_refused(wrong, "at most");
  wrong.heads = 30;
  wrong.head_dim = 31;
  expect_refused(wrong, "do not fit");
  wrong.head_dim = SIZE_MAX;
  expect_refused(wrong, "do not fit");
}

TEST_F(RowWorkers, ServeSeveralChannelsAtOnce) {
  auto memory = os_->reserve(memory_->bytes().size()).value();
  ASSERT_TRUE(memory->commit(0, memory->bytes().size()).has_value());
  RowChannel other(*worker_, memory->bytes(), kTokens * kColumns, kTokens * kRows);
  std::memset(other.x(), 0, x_.size() * sizeof(float));
  write_x(1);
  std::jthread thread([&] {
    for (int i = 0; i < 300; ++i) {
      if (!other.compute(job())) ADD_FAILURE();
    }
  });
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(channel_->compute(job()).has_value());
  thread.join();
  expect_y(1);
  for (size_t i = 0; i < kTokens * kRows; ++i) ASSERT_EQ(other.y()[i], 0.0F);
}

}  // namespace
}  // namespace spillway::ops
