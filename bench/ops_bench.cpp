// Matmul over every dtype: GB/s of weight bytes, for one token (decode) and 64 (prefill), and
// attention of one token to part of a KV cache (Llama 3 8B's heads), by threads and instruction
// set; beside it the rate at which the same threads only read memory.
//
//   ops_bench [--benchmark_filter='matmul/AVX3_DL/Q4_1/.*']
//
// Weights are 1 GiB, and keys and values 256 MiB, more than a second-level cache, so that one token
// reads them from DRAM. of_read is the share of the read rate measured at the start with as many
// threads.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "../tests/support/random_weights.h"
#include "base/thread_pool.h"
#include "base/units.h"
#include "ops/ops.h"

namespace spillway {
namespace {

constexpr size_t kWeightBytes = kGiB;
constexpr size_t kColumns = 4096;

// Bytes per second at which `threads` threads add up 64-bit words of `data`: the best of nine.
double read_rate(std::span<const uint64_t> data, unsigned threads) {
  ThreadPool pool(threads);
  std::atomic<uint64_t> sink = 0;
  double best = 0.0;
  for (int i = 0; i < 9; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(data.size(), kMiB / 8, [&](size_t begin, size_t end) {
      // Four streams, as a matmul over four rows has: one alone does not keep enough loads in
      // flight.
      const size_t part = (end - begin) / 4;
      const uint64_t* a = data.data() + begin;
      uint64_t sums[8] = {};
      for (size_t k = 0; k + 8 <= part; k += 8) {
        for (size_t j = 0; j < 8; ++j)
          sums[j] += a[k + j] + a[part + k + j] + a[2 * part + k + j] + a[3 * part + k + j];
      }
      uint64_t sum = 0;
      for (const uint64_t one : sums) sum += one;
      sink.fetch_add(sum, std::memory_order_relaxed);
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(data.size_bytes()) / took.count());
  }
  benchmark::DoNotOptimize(sink.load());
  return best;
}

struct Case {
  std::string set;
  DType dtype;
  unsigned threads;
  size_t tokens;
  double read_rate;
};

void matmul(benchmark::State& state, const Case& c, std::vector<std::byte>& bytes) {
  std::mt19937 random(1);
  const size_t row = row_bytes(c.dtype, kColumns);
  // Several tokens stay in one matrix's time: a sixteenth of the weights.
  const size_t rows = bytes.size() / row / (c.tokens > 1 ? 16 : 1);
  const auto pattern = testing::random_weights(random, c.dtype, 64 * kColumns);
  for (size_t at = 0; at + pattern.size() <= rows * row; at += pattern.size())
    std::memcpy(bytes.data() + at, pattern.data(), pattern.size());

  ThreadPool pool(c.threads);
  const auto ops = ops::make_cpu_ops(pool, c.set);
  const auto x = testing::random_floats(random, c.tokens * kColumns);
  std::vector<float> y(c.tokens * rows);
  ops::MatmulInput input{.tokens = c.tokens, .columns = kColumns, .floats = x.data()};
  std::vector<std::byte> storage(ops->prepared_bytes(c.dtype, c.tokens, kColumns) + 64);
  const size_t skew = (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64;
  ops->prepare_input(c.dtype, std::span(storage).subspan(skew), input);
  double seconds = 0.0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    ops->matmul(input, {c.dtype, bytes.data(), rows, kColumns}, y.data(), rows);
    benchmark::DoNotOptimize(y.data());
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  const double per_second = static_cast<double>(state.iterations()) / seconds;
  const double rate = static_cast<double>(rows * row) * per_second;
  state.counters["weights_GB/s"] = rate / 1e9;
  state.counters["of_read"] = rate / c.read_rate;
  state.counters["Gmac/s"] = static_cast<double>(rows * kColumns * c.tokens) * per_second / 1e9;
}

void attend(benchmark::State& state, const Case& c, std::vector<std::byte>& bytes) {
  constexpr size_t kHeads = 32;
  constexpr size_t kKvHeads = 8;
  constexpr size_t kDim = 128;
  std::mt19937 random(1);
  const auto pattern = testing::random_weights(random, c.dtype, 64 * kColumns);
  for (size_t at = 0; at + pattern.size() <= bytes.size(); at += pattern.size())
    std::memcpy(bytes.data() + at, pattern.data(), pattern.size());
  const size_t half = bytes.size() / 2;
  const size_t tokens = half / row_bytes(c.dtype, kKvHeads * kDim);
  const ops::KvStretch stretch{bytes.data(), bytes.data() + half, tokens};
  const ops::KvPart part{{&stretch, 1}, kKvHeads, kDim, c.dtype};

  ThreadPool pool(c.threads);
  const auto ops = ops::make_cpu_ops(pool, c.set);
  const auto q = testing::random_floats(random, kHeads * kDim);
  std::vector<float> out(q.size());
  std::vector<float> log_sums(kHeads);
  std::vector<float> scratch(ops->part_floats(part, kHeads));
  double seconds = 0.0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    ops->attend_part(q, 0.1F, part, scratch, {out, log_sums});
    benchmark::DoNotOptimize(out.data());
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  const double rate =
      static_cast<double>(bytes.size()) * static_cast<double>(state.iterations()) / seconds;
  state.counters["kv_GB/s"] = rate / 1e9;
  state.counters["of_read"] = rate / c.read_rate;
}

void add(const std::string& name, const Case& c, std::vector<std::byte>& bytes,
         void (*measure)(benchmark::State&, const Case&, std::vector<std::byte>&)) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=, &bytes](benchmark::State& state) { measure(state, c, bytes); })
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::byte> bytes(kWeightBytes, std::byte{1});
  const std::span<const uint64_t> words(reinterpret_cast<const uint64_t*>(bytes.data()),
                                        bytes.size() / sizeof(uint64_t));
  for (const unsigned threads : {1U, 2U}) {
    const double rate = read_rate(words, threads);
    fmt::print("read, {} thread(s): {:.1f} GB/s\n", threads, rate / 1e9);
    for (const std::string& set : ops::cpu_instruction_sets()) {
      if (set == "scalar") continue;
      for (const DType dtype : ops::cpu::kAllDTypes) {
        for (const size_t tokens : {1UL, 64UL}) {
          const Case c{set, dtype, threads, tokens, rate};
          const auto name = fmt::format("matmul/{}/{}/threads:{}/tokens:{}", set,
                                        dtype_info(dtype).name, threads, tokens);
          add(name, c, bytes, matmul);
        }
      }
      for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
        add(fmt::format("attend/{}/{}/threads:{}", set, dtype_info(dtype).name, threads),
            {set, dtype, threads, 1, rate}, bytes, attend);
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace spillway

int main(int argc, char** argv) {
  return spillway::run(argc, argv);
}
