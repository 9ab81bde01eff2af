#include "engine/measure_kernels.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/statistics.h"
#include "base/units.h"
#include "memory/host_region.h"

namespace spillway::engine {
namespace {

constexpr size_t kRepeats = 5;
// Small buffers take more turns: a machine that others share varies from one to the next.
constexpr double kLeastSeconds = 0.2;
constexpr size_t kMostRepeats = 200;
constexpr int kEmptyOps = 256;

// The vectors of one product, and the weights that pass by.
class Bench {
 public:
  Bench(const Context& context, memory::HostRegion& weights, const KernelMeasurement& what)
      : context_(context), weights_(weights), what_(what) {}

  // Bytes per second of products with rows × columns at a time over the whole buffer: the median.
  Result<double> rate(DType dtype, size_t rows, size_t columns) {
    const size_t bytes = rows * row_bytes(dtype, columns);
    const size_t calls = std::max<size_t>(1, weights_.size_bytes() / bytes);
    input_.assign(columns, 1.0F);
    output_.assign(rows, 0.0F);
    for (size_t call = 0; call < calls; ++call) multiply(dtype, rows, call * bytes);  // warms up
    std::vector<double> rates;
    double passed = 0;
    while (rates.size() < kRepeats || (passed < kLeastSeconds && rates.size() < kMostRepeats)) {
      const double started = context_.platform.clock().seconds();
      for (size_t call = 0; call < calls; ++call) {
        if (what_.beside) SPILLWAY_TRY(what_.beside());
        multiply(dtype, rows, call * bytes);
      }
      const double seconds = context_.platform.clock().seconds() - started;
      // A virtual clock does not see computing.
      rates.push_back(static_cast<double>(calls * bytes) / std::max(seconds, 1e-9));
      passed += seconds;
    }
    return median(std::move(rates));
  }

  // Of a small product: what waking the threads and joining them costs, more than what they
  // compute.
  double seconds_per_op() {
    constexpr size_t kColumns = 256;
    constexpr size_t kRows = 64;
    input_.assign(kColumns, 1.0F);
    output_.assign(kRows, 0.0F);
    std::vector<double> seconds;
    for (size_t i = 0; i < kRepeats; ++i) {
      const double started = context_.platform.clock().seconds();
      for (int op = 0; op < kEmptyOps; ++op) multiply(DType::kQ8_0, kRows, 0);
      seconds.push_back((context_.platform.clock().seconds() - started) / kEmptyOps);
    }
    return std::max(median(std::move(seconds)), 1e-9);
  }

 private:
  void multiply(DType dtype, size_t rows, size_t offset) {
    ops::MatmulInput input{.tokens = 1, .columns = input_.size(), .floats = input_.data()};
    prepared_.resize(context_.ops.prepared_bytes(dtype, 1, input_.size()) + kAlignment);
    void* start = prepared_.data();
    size_t space = prepared_.size();
    std::align(kAlignment, space - kAlignment, start, space);
    if (space > kAlignment) {
      context_.ops.prepare_input(
          dtype, {static_cast<std::byte*>(start), prepared_.size() - kAlignment}, input);
    }
    const bool interleaved = what_.all_stay && context_.ops.prefers_interleaved(dtype, rows);
    context_.ops.matmul(input,
                        {dtype, weights_.bytes().data() + offset, rows, input_.size(), interleaved},
                        output_.data(), rows);
  }

  static constexpr size_t kAlignment = 64;
  const Context& context_;
  memory::HostRegion& weights_;
  const KernelMeasurement& what_;
  std::vector<float> input_;
  std::vector<float> output_;
  std::vector<std::byte> prepared_;
};

}  // namespace

Result<void> measure_kernels(const Context& context, const KernelMeasurement& what,
                             machine::Machine& machine) {
  SPILLWAY_ASSIGN(const auto weights,
                  memory::HostRegion::create(context.platform, context.budget, memory::Tag::kOther,
                                             "kernel measurement", what.buffer_bytes));
  SPILLWAY_TRY(weights->make_resident(0, what.buffer_bytes));
  // Bytes that make small normal numbers in every format: what zeros cost is not what weights cost.
  std::memset(weights->bytes().data(), 0x11, what.buffer_bytes);
  Bench bench(context, *weights, what);
  for (const DType dtype : what.dtypes) {
    const size_t block = dtype_info(dtype).block_elements;
    const size_t columns = std::max(block, round_down(what.columns, block));
    const size_t most_rows = std::max<size_t>(1, what.buffer_bytes / row_bytes(dtype, columns));
    SPILLWAY_ASSIGN(const double rate, bench.rate(dtype, std::min(what.rows, most_rows), columns));
    machine.set_kernel_rate({std::string(dtype_info(dtype).name), what.threads, rate});
  }
  machine.seconds_per_op = bench.seconds_per_op();
  return {};
}

}  // namespace spillway::engine
