#include "ops/row_worker.h"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/result.h"
#include "ops/floats.h"

namespace spillway::ops {
namespace {

// Helpers have their next loop within this time while tokens are decoded: about a millisecond, in
// which waking them would cost more.
constexpr int kHelperSpins = 20000;

// How the worker waits: it looks without a pause for as long as x usually takes, then lets others
// run, and in the end only looks now and then.
constexpr double kSpinSeconds = 0.5e-3;
constexpr double kYieldSeconds = 20e-3;
constexpr auto kNap = std::chrono::microseconds(50);

void relax(double waited_seconds) {
  if (waited_seconds > kYieldSeconds) {
    std::this_thread::sleep_for(kNap);
  } else if (waited_seconds > kSpinSeconds) {
    std::this_thread::yield();
  } else {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

constexpr size_t round_to_line(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

RowWorker::RowWorker(platform::Gpu& gpu, const platform::Clock& clock, unsigned threads)
    : gpu_(gpu),
      clock_(clock),
      pool_(threads, kHelperSpins),
      ops_(make_cpu_ops(pool_)),
      accounted_until_(clock.seconds()),
      thread_([this] { run(); }) {}

RowWorker::~RowWorker() {
  const std::lock_guard lock(mutex_);
  SPILLWAY_CHECK(queue_.empty() && current_ == nullptr);
  stop_ = true;
  waiting_.fetch_add(1, std::memory_order_release);  // wakes it from its spin
  changed_.notify_all();
}

RowStatistics RowWorker::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

void RowWorker::put(Entry entry) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(entry));
  waiting_.fetch_add(1, std::memory_order_release);
  changed_.notify_all();
}

// Letting the flag of x reach the number would not do: the stream may yet write an earlier one.
void RowWorker::withdraw(RowChannel& channel, uint32_t number) {
  const std::lock_guard lock(mutex_);
  const auto removed = std::erase_if(queue_, [&](const Entry& entry) {
    return entry.channel == &channel && entry.number == number;
  });
  waiting_.fetch_sub(static_cast<unsigned>(removed), std::memory_order_relaxed);
  if (removed == 0) channel.withdrawn_.store(number, std::memory_order_release);
}

void RowWorker::remove(const RowChannel& channel) {
  std::unique_lock lock(mutex_);
  const auto removed =
      std::erase_if(queue_, [&](const Entry& entry) { return entry.channel == &channel; });
  waiting_.fetch_sub(static_cast<unsigned>(removed), std::memory_order_relaxed);
  changed_.wait(lock, [&] { return current_ != &channel; });
}

void RowWorker::run() {
  Entry entry{};
  while (next(entry)) {
    if (wait_for_x(entry)) compute(entry);
    const std::lock_guard lock(mutex_);
    current_ = nullptr;
    changed_.notify_all();
  }
}

// False: it is over.
bool RowWorker::next(Entry& entry) {
  const double start = clock_.seconds();
  for (double now = start; now - start < kSpinSeconds; now = clock_.seconds()) {
    if (waiting_.load(std::memory_order_acquire) > 0) break;
    relax(0);
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
  if (queue_.empty()) return false;
  entry = std::move(queue_.front());
  queue_.pop_front();
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  current_ = entry.channel;
  lock.unlock();
  account(&RowStatistics::idle_seconds);
  return true;
}

// False: nobody wants the job any more.
bool RowWorker::wait_for_x(const Entry& entry) {
  const RowChannel& channel = *entry.channel;
  const auto seconds_of = [](bool link) {
    return link ? &RowStatistics::link_seconds : &RowStatistics::x_seconds;
  };
  const double start = clock_.seconds();
  bool link = channel.waits_for_link();
  while (!channel.reached(&RowChannel::Flags::x, entry.number)) {
    if (channel.closed_.load(std::memory_order_acquire)) return false;
    if (channel.withdrawn_.load(std::memory_order_acquire) == entry.number) return false;
    relax(clock_.seconds() - start);
    if (const bool now = channel.waits_for_link(); now != link) {
      account(seconds_of(link));
      link = now;
    }
  }
  account(seconds_of(link));
  return true;
}

void RowWorker::compute(const Entry& entry) {
  std::visit([&](const auto& job) { compute(*entry.channel, job); }, entry.job);
  // Last: whoever sees y finds it counted.
  entry.channel->reach(&RowChannel::Flags::y, entry.number);
}

void RowWorker::compute(const RowChannel& channel, const RowJob& job) {
  const WeightRows& weight = job.weight;
  const MatmulInput input{.tokens = job.tokens, .columns = weight.columns, .floats = channel.x()};
  ops_->matmul(input, weight, channel.y(), weight.rows);
  account(&RowStatistics::busy_seconds);
  const std::lock_guard lock(mutex_);
  ++statistics_.jobs;
  statistics_.bytes += weight.rows * row_bytes(weight.dtype, weight.columns);
}

void RowWorker::compute(const RowChannel& channel, const AttentionJob& job) {
  const KvPart part = job.part();
  const size_t count = job.heads * job.head_dim;
  scratch_.resize(std::max(scratch_.size(), ops_->part_floats(part, job.heads)));
  ops_->attend_part({channel.x(), count}, job.scale, part, scratch_,
                    {{channel.y(), count}, {channel.y() + count, job.heads}});
  account(&RowStatistics::attention_seconds);
  size_t tokens = 0;
  for (const KvStretch& stretch : job.stretches) tokens += stretch.tokens;
  const std::lock_guard lock(mutex_);
  ++statistics_.attention_jobs;
  statistics_.attention_bytes += 2 * tokens * row_bytes(job.dtype, job.kv_heads * job.head_dim);
}

void RowWorker::account(double RowStatistics::*what) {
  const double now = clock_.seconds();
  const std::lock_guard lock(mutex_);
  statistics_.*what += now - accounted_until_;
  accounted_until_ = now;
}

size_t RowChannel::memory_bytes(size_t x_floats, size_t y_floats) {
  return sizeof(Flags) + round_to_line(x_floats * sizeof(float)) +
         round_to_line(y_floats * sizeof(float));
}

RowChannel::RowChannel(RowWorker& worker, std::span<std::byte> memory, size_t x_floats,
                       size_t y_floats)
    : worker_(worker),
      flags_(*new (memory.data()) Flags),
      x_(reinterpret_cast<float*>(memory.data() + sizeof(Flags))),
      y_(x_ + round_to_line(x_floats * sizeof(float)) / sizeof(float)),
      x_floats_(x_floats),
      y_floats_(y_floats) {
  SPILLWAY_CHECK(reinterpret_cast<uintptr_t>(memory.data()) % alignof(Flags) == 0);
  SPILLWAY_CHECK(memory.size() >= memory_bytes(x_floats, y_floats));
}

RowChannel::~RowChannel() {
  closed_.store(true, std::memory_order_release);
  worker_.remove(*this);
  reach(&Flags::y, number_);
}

Result<void> RowChannel::check(const RowJob& job) const {
  const WeightRows& weight = job.weight;
  if (job.tokens == 0 || weight.rows == 0 || weight.columns == 0 || weight.data == nullptr) {
    return fail(ErrorCode::kUsage, "{} tokens, {} rows and {} columns at {}: nothing to compute",
                job.tokens, weight.rows, weight.columns, fmt::ptr(weight.data));
  }
  if (job.tokens > x_floats_ / weight.columns || job.tokens > y_floats_ / weight.rows) {
    return fail(
        ErrorCode::kUsage,
        "{} tokens of {} columns and {} rows do not fit into a channel for {} elements of x "
        "and {} of y",
        job.tokens, weight.columns, weight.rows, x_floats_, y_floats_);
  }
  return {};
}

Result<void> RowChannel::check(const AttentionJob& job) const {
  const auto is_nothing = [](const KvStretch& stretch) {
    return stretch.keys == nullptr || stretch.values == nullptr || stretch.tokens == 0;
  };
  if (job.heads == 0 || job.kv_heads == 0 || job.head_dim == 0 || job.stretches.empty() ||
      std::ranges::any_of(job.stretches, is_nothing)) {
    return fail(ErrorCode::kUsage,
                "{} heads, {} KV heads of {} dimensions and {} stretches, or one of these: nothing "
                "to attend to",
                job.heads, job.kv_heads, job.head_dim, job.stretches.size());
  }
  if (job.heads % job.kv_heads != 0 || job.heads / job.kv_heads > kMostPartGroup) {
    return fail(ErrorCode::kUsage,
                "{} heads for {} KV heads: give a multiple of them, {} times as many at most",
                job.heads, job.kv_heads, kMostPartGroup);
  }
  if (job.heads > x_floats_ / job.head_dim || job.heads > y_floats_ / (job.head_dim + 1)) {
    return fail(ErrorCode::kUsage,
                "{} heads of {} dimensions do not fit into a channel for {} elements of x and {} "
                "of y",
                job.heads, job.head_dim, x_floats_, y_floats_);
  }
  return {};
}

Result<void> RowChannel::start(CpuJob job, Stream stream) {
  SPILLWAY_TRY(std::visit([&](const auto& one) { return check(one); }, job));
  ++number_;
  // First into the queue, then into the stream: so the queue has jobs in an order in which streams
  // that wait for each other come to them.
  worker_.put({this, std::move(job), number_});
  auto written = worker_.gpu_.write_flag(&flags_.x.value, number_, stream);
  if (!written) worker_.withdraw(*this, number_);  // or it would wait for ever
  return written;
}

Result<void> RowChannel::join(Stream stream) {
  return worker_.gpu_.wait_flag(&flags_.y.value, number_, stream);
}

Result<void> RowChannel::multiply(const RowJob& job, const void* x, void* y, Stream stream) {
  SPILLWAY_TRY(check(job));
  const WeightRows& weight = job.weight;
  // widen() only reads.
  const Elements from{weight.dtype, const_cast<void*>(x), job.tokens * weight.columns};
  SPILLWAY_TRY(widen(worker_.gpu_, from, x_, stream));
  SPILLWAY_TRY(start(job, stream));
  SPILLWAY_TRY(join(stream));
  return narrow(worker_.gpu_, y_, {weight.dtype, y, job.tokens * weight.rows}, stream);
}

Result<void> RowChannel::mark_link(bool waits, Stream stream) {
  return worker_.gpu_.write_flag(&flags_.link.value, waits ? 1 : 0, stream);
}

Result<void> RowChannel::compute(CpuJob job) {
  SPILLWAY_TRY(std::visit([&](const auto& one) { return check(one); }, job));
  reach(&Flags::x, ++number_);
  worker_.put({this, std::move(job), number_});
  const double start = worker_.clock_.seconds();
  while (!reached(&Flags::y, number_)) relax(worker_.clock_.seconds() - start);
  return {};
}

bool RowChannel::reached(Flag Flags::*flag, uint32_t number) const {
  const uint32_t value = std::atomic_ref((flags_.*flag).value).load(std::memory_order_acquire);
  return value - number < 1U << 31;
}

bool RowChannel::waits_for_link() const {
  return std::atomic_ref(flags_.link.value).load(std::memory_order_acquire) != 0;
}

void RowChannel::reach(Flag Flags::*flag, uint32_t number) {
  std::atomic_ref((flags_.*flag).value).store(number, std::memory_order_release);
}

}  // namespace spillway::ops
