// What PyTorch launches as many small kernels of one operation each, in fewer, in a GPU's stream.
// Each element goes through the same operations and is rounded after each as there, so that results
// are the same bits. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "platform/gpu.h"
#include "tensor/dtype.h"

namespace spillway::ops {

// kF32, kF16 or kBF16, all of it in memory that the GPU reaches; nothing overlaps.

// to[i] = x[i] * x[i], as floats: 1 launch for 2. The means of rows are the framework's own, which
// adds up in an order of its own.
struct Squares {
  DType dtype = DType::kF32;
  const void* x = nullptr;
  float* to = nullptr;
  size_t count = 0;
};

// y[r, c] = weight[c] * (x[r, c] / sqrt(means[r] + epsilon)), with the quotient rounded to dtype
// before the product: what follows the means in an RMS norm, 1 launch for 5.
struct NormRows {
  DType dtype = DType::kF32;
  const void* x = nullptr;       // [rows, columns]
  const float* means = nullptr;  // [rows], of the squares of x
  const void* weight = nullptr;  // [columns]
  void* y = nullptr;             // [rows, columns]
  size_t rows = 0;
  size_t columns = 0;
  float epsilon = 0;
};

// In which order norm_row() adds up the squares of a row of kLeastNormColumns or more, which are a
// multiple of 4: as PyTorch's kernel for the mean of one contiguous row does, in one of two
// versions. Thread t of 512, or of the largest power of two that has 4 columns for each, adds up
// columns 4t to 4t + 3 of each stretch, each of the four on its own, then the four; then threads a
// distance apart are added, which halves from the half of all down to 32. Among the last 32 it
// halves on (kHalving), or doubles from 1 (kDoubling).
enum class SumOrder : uint8_t { kHalving = 0, kDoubling = 1 };
inline constexpr size_t kLeastNormColumns = 256;
inline constexpr size_t kMostNormColumns = 65536;

// y[i] = silu(x[i]) * factor[i], silu(x) = x / (1 + exp(-x)) rounded: 1 launch for 2.
struct SiluTimes {
  DType dtype = DType::kF32;
  const void* x = nullptr;
  const void* factor = nullptr;
  void* y = nullptr;
  size_t count = 0;
};

// Of q and k of one token a sequence: y = x * cos + rotated * sin, both products rounded; rotated
// is the second half of x, negated, and then the first one. 1 launch for 10.
struct Rotation {
  DType dtype = DType::kF32;
  const void* q = nullptr;    // [batch, q_heads, dim]
  const void* k = nullptr;    // [batch, k_heads, dim]
  const void* cos = nullptr;  // [batch, dim], or [dim] for all
  const void* sin = nullptr;
  void* q_to = nullptr;
  void* k_to = nullptr;
  size_t batch = 0;
  size_t q_heads = 0;
  size_t k_heads = 0;
  size_t dim = 0;  // even
  bool same_for_all = false;
};

// Bytes to two places, a multiple of 4 at addresses that are: 1 launch for 2.
struct TwoCopies {
  std::array<const void*, 2> from{};
  std::array<void*, 2> to{};
  size_t bytes = 0;  // each
};

// kUsage: another dtype, an odd dim, columns that norm_row() is not for, bytes that are no multiple
// of 4. kMachine also: the library was built without kernels.
Result<void> square(platform::Gpu& gpu, const Squares& what, Stream stream);
Result<void> norm_rows(platform::Gpu& gpu, const NormRows& what, Stream stream);
// With the mean of the row, 1 launch for 8: `rows` is 1, `means` null.
Result<void> norm_row(platform::Gpu& gpu, const NormRows& what, SumOrder order, Stream stream);
Result<void> silu_times(platform::Gpu& gpu, const SiluTimes& what, Stream stream);
Result<void> copy_two(platform::Gpu& gpu, const TwoCopies& what, Stream stream);
Result<void> rotate(platform::Gpu& gpu, const Rotation& what, Stream stream);

}  // namespace spillway::ops
