#include "ops/pattern_kernels.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <atomic>

#include "base/result.h"
#include "ops/cuda/images.h"
#include "ops/pattern_word.h"

namespace spillway::ops {
namespace {

using platform::from_argument;
using platform::Gpu;
using platform::Kernel;
using platform::KernelArgument;
using platform::LaunchShape;
using platform::to_argument;

using Arguments = std::span<const KernelArgument>;

constexpr unsigned kThreads = 512;
constexpr unsigned kBlocksPerMultiprocessor = 4;  // of kThreads: all that it holds

PatternRange range_of(Arguments arguments) {
  return {.words = from_argument<uint64_t*>(arguments[0]),
          .count = arguments[1],
          .seed = arguments[2],
          .first = arguments[3]};
}

void add_to(uint64_t* total, uint64_t part) {
  std::atomic_ref(*total).fetch_add(part);
}

void fill_on_cpu(Arguments arguments) {
  const PatternRange range = range_of(arguments);
  for (size_t i = 0; i < range.count; ++i) {
    range.words[i] = pattern_word(range.seed, range.first + i);
  }
}

void check_on_cpu(Arguments arguments) {
  const PatternRange range = range_of(arguments);
  uint64_t wrong = 0;
  for (size_t i = 0; i < range.count; ++i) {
    if (range.words[i] != pattern_word(range.seed, range.first + i)) ++wrong;
  }
  if (wrong != 0) add_to(from_argument<uint64_t*>(arguments[4]), wrong);
}

void sum_on_cpu(Arguments arguments) {
  const auto* words = from_argument<const uint64_t*>(arguments[0]);
  uint64_t sum = 0;
  for (size_t i = 0; i < arguments[1]; ++i) sum += words[i];
  add_to(from_argument<uint64_t*>(arguments[2]), sum);
}

LaunchShape shape_of(const Gpu& gpu, size_t words, unsigned blocks) {
  const size_t needed = std::max<size_t>((words + kThreads - 1) / kThreads, 1);
  if (blocks == 0) blocks = gpu.info().multiprocessors * kBlocksPerMultiprocessor;
  return {.blocks = static_cast<unsigned>(std::min<size_t>(needed, std::max(blocks, 1U))),
          .threads = kThreads};
}

Result<void> check_aligned(const PatternRange& range) {
  if (reinterpret_cast<uintptr_t>(range.words) % 16 == 0) return {};
  return fail(ErrorCode::kUsage, "a pattern at {} is not 16-byte aligned",
              fmt::ptr(static_cast<void*>(range.words)));
}

}  // namespace

Result<void> fill_pattern(Gpu& gpu, const PatternRange& range, Stream stream) {
  SPILLWAY_TRY(check_aligned(range));
  const Kernel kernel{"fill_pattern", images::pattern(), fill_on_cpu};
  const std::array arguments{to_argument(range.words), to_argument(range.count),
                             to_argument(range.seed), to_argument(range.first)};
  return gpu.launch(kernel, shape_of(gpu, range.count, 0), arguments, stream);
}

Result<void> check_pattern(Gpu& gpu, const PatternRange& range, uint64_t* mismatches,
                           Stream stream) {
  SPILLWAY_TRY(check_aligned(range));
  const Kernel kernel{"check_pattern", images::pattern(), check_on_cpu};
  const std::array arguments{to_argument(range.words), to_argument(range.count),
                             to_argument(range.seed), to_argument(range.first),
                             to_argument(mismatches)};
  return gpu.launch(kernel, shape_of(gpu, range.count, 0), arguments, stream);
}

Result<void> sum_words(Gpu& gpu, const PatternRange& range, uint64_t* sum, Stream stream,
                       unsigned blocks) {
  SPILLWAY_TRY(check_aligned(range));
  const Kernel kernel{"sum_words", images::pattern(), sum_on_cpu};
  const std::array arguments{to_argument(range.words), to_argument(range.count), to_argument(sum)};
  return gpu.launch(kernel, shape_of(gpu, range.count, blocks), arguments, stream);
}

}  // namespace spillway::ops
