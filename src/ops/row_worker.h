// Rows of a matmul, or attention over some of the tokens, that the CPU computes inside a GPU's
// stream, while the GPU computes the others.
// The stream brings x into host memory, tells the worker by a flag, and waits at another one until
// y is there; nobody else waits, and the worker makes no call of the driver. One worker a pool.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <variant>
#include <vector>

#include "base/thread_pool.h"
#include "ops/ops.h"
#include "platform/gpu.h"
#include "platform/platform.h"

namespace spillway::ops {

// y[t, r] = Σ_c weight[r, c] × x[t, c]; the bytes of the weight outlive the job.
struct RowJob {
  WeightRows weight;  // kF32, kF16 or kBF16
  size_t tokens = 0;
};

// y is out [heads, head_dim], then log_sums [heads], of attention over the part (ops.h), where x is
// q [heads, head_dim]. What the stretches point to outlives the job.
struct AttentionJob {
  std::vector<KvStretch> stretches;
  size_t heads = 0;
  size_t kv_heads = 0;
  size_t head_dim = 0;
  float scale = 1.0F;
  DType dtype = DType::kF32;  // kF32, kF16 or kBF16

  KvPart part() const { return {stretches, kv_heads, head_dim, dtype}; }
};

using CpuJob = std::variant<RowJob, AttentionJob>;

// Where the worker's time went, since it was made.
struct RowStatistics {
  double busy_seconds = 0;  // with rows
  double x_seconds = 0;     // the GPU had not come to the job yet
  double link_seconds = 0;  // as it waited for the link
  double idle_seconds = 0;  // there was no job
  uint64_t jobs = 0;        // of rows
  uint64_t bytes = 0;       // of their weights
  double attention_seconds = 0;
  uint64_t attention_jobs = 0;
  uint64_t attention_bytes = 0;  // of keys and values
};

class RowChannel;

// A thread with helpers that does the jobs of all channels, in the order in which they were
// started. Thread-safe.
class RowWorker {
 public:
  // threads ≥ 1. The GPU and the clock outlive it.
  RowWorker(platform::Gpu& gpu, const platform::Clock& clock, unsigned threads);
  ~RowWorker();  // no channel is left by then
  RowWorker(const RowWorker&) = delete;
  RowWorker& operator=(const RowWorker&) = delete;

  unsigned threads() const { return pool_.threads(); }
  RowStatistics statistics() const;

 private:
  friend class RowChannel;
  struct Entry {
    RowChannel* channel;
    CpuJob job;
    uint32_t number;
  };

  void put(Entry entry);
  // Its x will not come.
  void withdraw(RowChannel& channel, uint32_t number);
  // Takes the channel's jobs out of the queue and waits for the one under way.
  void remove(const RowChannel& channel);
  void run();
  bool next(Entry& entry);
  bool wait_for_x(const Entry& entry);
  void compute(const Entry& entry);
  void compute(const RowChannel& channel, const RowJob& job);
  void compute(const RowChannel& channel, const AttentionJob& job);
  // Of what the time since the last call was spent on.
  void account(double RowStatistics::*what);

  platform::Gpu& gpu_;
  const platform::Clock& clock_;
  ThreadPool pool_;
  const std::unique_ptr<Ops> ops_;
  std::vector<float> scratch_;  // of attention

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Entry> queue_;
  const RowChannel* current_ = nullptr;  // whose job is under way
  RowStatistics statistics_;
  double accounted_until_;
  bool stop_ = false;
  std::atomic<unsigned> waiting_ = 0;  // entries in the queue

  std::jthread thread_;  // the last: it ends before what it uses
};

// The buffers and flags of one stream: job after job. The memory is the caller's.
// Thread-compatible.
class RowChannel {
 public:
  // Of memory for so many elements of x and y.
  static size_t memory_bytes(size_t x_floats, size_t y_floats);

  // `memory`: zero bytes that the GPU reaches, 64-byte aligned; they outlive the channel.
  RowChannel(RowWorker& worker, std::span<std::byte> memory, size_t x_floats, size_t y_floats);
  // Jobs that have not begun never will: streams that wait for them go on.
  ~RowChannel();
  RowChannel(const RowChannel&) = delete;
  RowChannel& operator=(const RowChannel&) = delete;

  float* x() const { return x_; }  // [tokens, columns] of a job of rows
  float* y() const { return y_; }  // [tokens, rows]

  // The CPU computes y once the stream has got here, having written x. kUsage: it does not fit. A
  // job whose start fails is none.
  Result<void> start(CpuJob job, Stream stream);
  // The stream waits here until y of the last job can be read. Once a job, also where the stream
  // does without y: only then may it write x again. In the stream, the GPU's own rows come between.
  Result<void> join(Stream stream);
  // start() and join() at once, with x from and y into memory of the GPU, both of the weight's
  // dtype. Also kMachine: the kernels were not built; then nothing was started.
  Result<void> multiply(const RowJob& job, const void* x, void* y, Stream stream);
  // From here on the stream waits for what the link brings, or no longer.
  Result<void> mark_link(bool waits, Stream stream);
  // Without a stream, nor one that still has something to do with the channel: x is there already,
  // and so is y on return.
  Result<void> compute(CpuJob job);

 private:
  friend class RowWorker;
  // A cache line each, or the two sides would disturb each other.
  struct alignas(64) Flag {
    uint32_t value = 0;
  };
  struct Flags {
    Flag x;     // the number of the job whose x is there; the GPU writes it
    Flag link;  // 1 while the GPU waits for the link
    Flag y;     // the number of the job whose y is there; the worker writes it
  };

  Result<void> check(const RowJob& job) const;
  Result<void> check(const AttentionJob& job) const;
  bool reached(Flag Flags::*flag, uint32_t number) const;
  bool waits_for_link() const;
  void reach(Flag Flags::*flag, uint32_t number);

  RowWorker& worker_;
  Flags& flags_;
  float* const x_;
  float* const y_;
  const size_t x_floats_;
  const size_t y_floats_;
  uint32_t number_ = 0;                  // of the last job
  std::atomic<uint32_t> withdrawn_ = 0;  // that the worker had begun to wait for
  std::atomic<bool> closed_ = false;
};

}  // namespace spillway::ops
