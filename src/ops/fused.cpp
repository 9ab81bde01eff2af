#include "ops/fused.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/result.h"
#include "ops/cuda/images.h"
#include "ops/element_kernels.h"

namespace spillway::ops {
namespace {

using platform::from_argument;
using platform::Gpu;
using platform::KernelArgument;
using platform::to_argument;

constexpr uint64_t kMostNormThreads = 512;

// Arguments: x, to, count, dtype.
void square_on_cpu(std::span<const KernelArgument> arguments) {
  const ElementsOnCpu x(arguments[0], arguments[3]);
  auto* to = from_argument<float*>(arguments[1]);
  for (uint64_t i = 0; i < arguments[2]; ++i) to[i] = x.get(i) * x.get(i);
}

// Arguments: x, means, weight, y, count, columns, epsilon, dtype.
void norm_rows_on_cpu(std::span<const KernelArgument> arguments) {
  const ElementsOnCpu x(arguments[0], arguments[7]);
  const ElementsOnCpu weight(arguments[2], arguments[7]);
  const ElementsOnCpu y(arguments[3], arguments[7]);
  const auto* means = from_argument<const float*>(arguments[1]);
  const uint64_t columns = arguments[5];
  const auto epsilon = from_argument<float>(arguments[6]);
  for (uint64_t i = 0; i < arguments[4]; ++i) {
    const float scale = 1.0F / std::sqrt(means[i / columns] + epsilon);
    y.set(i, weight.get(i % columns) * y.rounded(x.get(i) * scale));
  }
}

unsigned norm_threads(uint64_t columns) {
  return static_cast<unsigned>(std::min<uint64_t>(std::bit_floor(columns / 4), kMostNormThreads));
}

// Arguments: x, weight, y, columns, epsilon, doubling, dtype.
void norm_row_on_cpu(std::span<const KernelArgument> arguments) {
  const ElementsOnCpu x(arguments[0], arguments[6]);
  const ElementsOnCpu weight(arguments[1], arguments[6]);
  const ElementsOnCpu y(arguments[2], arguments[6]);
  const uint64_t columns = arguments[3];
  const unsigned threads = norm_threads(columns);
  std::vector<std::array<float, 4>> fours(threads);
  for (uint64_t i = 0; i < columns; ++i) fours[i / 4 % threads][i % 4] += x.get(i) * x.get(i);
  std::vector<float> sums(threads);
  for (unsigned i = 0; i < threads; ++i) {
    sums[i] = ((fours[i][0] + fours[i][1]) + fours[i][2]) + fours[i][3];
  }
  const auto add = [&](unsigned distance) {  // what has no partner is not used afterwards
    for (unsigned i = 0; i + distance < threads; ++i) sums[i] += sums[i + distance];
  };
  const unsigned warp = 32;
  const bool doubling = arguments[5] != 0;
  for (unsigned i = threads / 2; i >= (doubling ? warp : 1); i /= 2) add(i);
  for (unsigned i = 1; doubling && i < warp; i *= 2) add(i);
  const float mean = sums[0] * (1.0F / static_cast<float>(columns));
  const float scale = 1.0F / std::sqrt(mean + from_argument<float>(arguments[4]));
  for (uint64_t i = 0; i < columns; ++i) y.set(i, weight.get(i) * y.rounded(x.get(i) * scale));
}

// Arguments: x, factor, y, count, dtype.
void silu_times_on_cpu(std::span<const KernelArgument> arguments) {
  const ElementsOnCpu x(arguments[0], arguments[4]);
  const ElementsOnCpu factor(arguments[1], arguments[4]);
  const ElementsOnCpu y(arguments[2], arguments[4]);
  for (uint64_t i = 0; i < arguments[3]; ++i) {
    const float value = x.get(i);
    y.set(i, factor.get(i) * y.rounded(value / (1.0F + std::exp(-value))));
  }
}

// Arguments: from, other, to, other_to, words.
void copy_two_on_cpu(std::span<const KernelArgument> arguments) {
  const size_t bytes = arguments[4] * sizeof(uint32_t);
  for (size_t i = 0; i < 2; ++i) {
    std::memcpy(from_argument<void*>(arguments[2 + i]), from_argument<const void*>(arguments[i]),
                bytes);
  }
}

struct Angles {
  ElementsOnCpu cos;
  ElementsOnCpu sin;
  uint64_t sequence_step;
};

void rotate_on_cpu(const ElementsOnCpu& from, const ElementsOnCpu& to,
                   std::array<uint64_t, 3> shape, const Angles& angles) {
  const auto [batch, heads, dim] = shape;
  const uint64_t half = dim / 2;
  for (uint64_t at = 0; at < batch * heads * dim; ++at) {
    const uint64_t column = at % dim;
    const float other = column < half ? -from.get(at + half) : from.get(at - half);
    const uint64_t angle = at / dim / heads * angles.sequence_step + column;
    to.set(at, to.rounded(from.get(at) * angles.cos.get(angle)) +
                   to.rounded(other * angles.sin.get(angle)));
  }
}

// Arguments: q, k, cos, sin, q_to, k_to, batch, q_heads, k_heads, dim, sequence_step, dtype.
void rotate_heads_on_cpu(std::span<const KernelArgument> a) {
  const KernelArgument dtype = a[11];
  const Angles angles{ElementsOnCpu(a[2], dtype), ElementsOnCpu(a[3], dtype), a[10]};
  rotate_on_cpu({a[0], dtype}, {a[4], dtype}, {a[6], a[7], a[9]}, angles);
  rotate_on_cpu({a[1], dtype}, {a[5], dtype}, {a[6], a[8], a[9]}, angles);
}

}  // namespace

Result<void> square(Gpu& gpu, const Squares& what, Stream stream) {
  SPILLWAY_TRY(check_elements(what.dtype));
  const std::array arguments{to_argument(what.x), to_argument(what.to),
                             to_argument(uint64_t{what.count}),
                             to_argument(static_cast<uint32_t>(what.dtype))};
  return launch_elements(gpu, {"square_elements", images::fused(), square_on_cpu}, what.count,
                         arguments, stream);
}

Result<void> norm_rows(Gpu& gpu, const NormRows& what, Stream stream) {
  SPILLWAY_TRY(check_elements(what.dtype));
  const uint64_t count = uint64_t{what.rows} * what.columns;
  const std::array arguments{
      to_argument(what.x),       to_argument(what.means),
      to_argument(what.weight),  to_argument(what.y),
      to_argument(count),        to_argument(uint64_t{what.columns}),
      to_argument(what.epsilon), to_argument(static_cast<uint32_t>(what.dtype))};
  return launch_elements(gpu, {"norm_rows", images::fused(), norm_rows_on_cpu}, count, arguments,
                         stream);
}

Result<void> norm_row(Gpu& gpu, const NormRows& what, SumOrder order, Stream stream) {
  SPILLWAY_TRY(check_elements(what.dtype));
  const size_t columns = what.columns;
  if (what.rows != 1 || columns % 4 != 0 || columns < kLeastNormColumns ||
      columns > kMostNormColumns) {
    return fail(ErrorCode::kUsage,
                "{} rows of {} columns: it is for one of {} to {} columns, a multiple of 4",
                what.rows, columns, kLeastNormColumns, kMostNormColumns);
  }
  const std::array arguments{to_argument(what.x),
                             to_argument(what.weight),
                             to_argument(what.y),
                             to_argument(uint64_t{columns}),
                             to_argument(what.epsilon),
                             to_argument(static_cast<uint32_t>(order)),
                             to_argument(static_cast<uint32_t>(what.dtype))};
  return gpu.launch({"norm_row", images::fused(), norm_row_on_cpu},
                    {.blocks = 1, .threads = norm_threads(columns)}, arguments, stream);
}

Result<void> silu_times(Gpu& gpu, const SiluTimes& what, Stream stream) {
  SPILLWAY_TRY(check_elements(what.dtype));
  const std::array arguments{to_argument(what.x), to_argument(what.factor), to_argument(what.y),
                             to_argument(uint64_t{what.count}),
                             to_argument(static_cast<uint32_t>(what.dtype))};
  return launch_elements(gpu, {"silu_times", images::fused(), silu_times_on_cpu}, what.count,
                         arguments, stream);
}

Result<void> copy_two(Gpu& gpu, const TwoCopies& what, Stream stream) {
  uintptr_t all = what.bytes;
  for (size_t i = 0; i < 2; ++i) {
    all |= reinterpret_cast<uintptr_t>(what.from[i]) | reinterpret_cast<uintptr_t>(what.to[i]);
  }
  if (all % sizeof(uint32_t) != 0) {
    return fail(ErrorCode::kUsage,
                "two copies of {} bytes: bytes or addresses are no multiple of {}", what.bytes,
                sizeof(uint32_t));
  }
  const uint64_t words = what.bytes / sizeof(uint32_t);
  const std::array arguments{to_argument(what.from[0]), to_argument(what.from[1]),
                             to_argument(what.to[0]), to_argument(what.to[1]), to_argument(words)};
  return launch_elements(gpu, {"copy_two", images::fused(), copy_two_on_cpu}, 2 * words, arguments,
                         stream);
}

Result<void> rotate(Gpu& gpu, const Rotation& what, Stream stream) {
  SPILLWAY_TRY(check_elements(what.dtype));
  if (what.dim % 2 != 0) {
    return fail(ErrorCode::kUsage, "heads of {} elements have no halves", what.dim);
  }
  const uint64_t sequence_step = what.same_for_all ? 0 : what.dim;
  const std::array arguments{to_argument(what.q),
                             to_argument(what.k),
                             to_argument(what.cos),
                             to_argument(what.sin),
                             to_argument(what.q_to),
                             to_argument(what.k_to),
                             to_argument(uint64_t{what.batch}),
                             to_argument(uint64_t{what.q_heads}),
                             to_argument(uint64_t{what.k_heads}),
                             to_argument(uint64_t{what.dim}),
                             to_argument(sequence_step),
                             to_argument(static_cast<uint32_t>(what.dtype))};
  const size_t count = what.batch * (what.q_heads + what.k_heads) * what.dim;
  return launch_elements(gpu, {"rotate_heads", images::fused(), rotate_heads_on_cpu}, count,
                         arguments, stream);
}

}  // namespace spillway::ops
