// Ops on a thread pool: cuts each op into ranges and lets the kernels of one instruction set
// compute them. Made by make_cpu_ops. One thread calls at a time.
#pragma once

#include <array>
#include <functional>

#include "base/thread_pool.h"
#include "base/units.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/rope_angles.h"
#include "ops/ops.h"

namespace spillway::ops::cpu {

// A range of an op's work should take about 5 µs, several times what it costs to wake a spinning
// thread.
inline constexpr size_t kRangeElements = 16 * kKiB;  // of ops that touch each element once

// Tokens of `width` elements that make a range.
constexpr size_t token_grain(size_t width) {
  return width > kRangeElements ? 1 : kRangeElements / width;
}

// Whether heads are whole blocks of the cache's dtype.
inline bool whole_blocks(const KvLayer& layer) {
  return layer.head_dim % dtype_info(layer.dtype).block_elements == 0;
}

class CpuOps final : public Ops {
 public:
  CpuOps(ThreadPool& pool, const CpuKernels& kernels) : pool_(pool), kernels_(kernels) {}

  std::string_view instruction_set() const override { return kernels_.name; }

  void rms_norm(std::span<const float> x, std::span<const float> weight, float epsilon,
                std::span<float> y) override;
  void dequantise_row(DType dtype, const std::byte* row, std::span<float> out) override;
  bool prefers_interleaved(DType dtype, size_t rows) const override;
  void interleave(const WeightRows& weight, std::byte* to) override;
  size_t prepared_bytes(DType dtype, size_t tokens, size_t columns) const override;
  void prepare_input(DType dtype, std::span<std::byte> prepared, MatmulInput& input) override;
  void matmul(const MatmulInput& input, std::span<const Product> products,
              std::span<const Product> soon) override;
  void rope(std::span<float> x, size_t heads, size_t head_dim, size_t first_position,
            const RopeOptions& options) override;
  void store_kv(std::span<const float> keys, std::span<const float> values, size_t first_position,
                const KvLayer& layer) override;
  void store_turned_kv(const TurnedKv& kv, size_t first_position, const KvLayer& layer) override;
  void attention(std::span<const float> q, const AttentionOptions& options, const KvLayer& layer,
                 std::span<float> out) override;
  size_t part_floats(const KvPart& part, size_t heads) const override;
  void attend_part(std::span<const float> q, float scale, const KvPart& part,
                   std::span<float> scratch, const PartFound& found) override;
  void swiglu(std::span<float> gate, std::span<const float> up) override;
  void geglu(std::span<float> gate, std::span<const float> up) override;
  void soft_cap(std::span<float> x, float cap) override;
  void scale(std::span<float> x, float factor) override;
  void add_bias(std::span<float> x, std::span<const float> bias) override;
  void interleave_halves(std::span<float> x, size_t head_dim) override;
  void add(std::span<float> x, std::span<const float> y) override;
  void softmax(std::span<float> x) override;

 private:
  // Pieces [begin, end) of a loop over all products are the rows of one.
  struct Pieces {
    size_t rows;  // of a piece
    size_t begin;
    size_t end;
  };
  struct Cut {
    std::array<Pieces, kMostProducts> of = {};
    size_t count = 0;  // of all pieces
    size_t grain = 1;  // pieces that a thread takes at once

    // The next product's rows, so many in a piece.
    void add(size_t product, size_t rows, size_t piece_rows) {
      const size_t begin = count;
      count += (rows + piece_rows - 1) / piece_rows;
      of[product] = {.rows = piece_rows, .begin = begin, .end = count};
    }
  };
  static Cut cut_for_one(std::span<const Product> products);
  Cut cut(std::span<const Product> products, size_t tokens) const;
  // What each thread's part of a matmul with one token begins with, in begins_.
  std::span<const ThreadPool::Memory> begins_of(std::span<const Product> products);

  // Turns every head of x [tokens, heads, head_dim]; after(t) follows when token t is done, on the
  // same thread.
  struct Heads {
    size_t count;
    size_t dim;
  };
  template <typename After>
  void turn(std::span<float> x, const Heads& heads, size_t first_position,
            const RopeOptions& options, const After& after);

  // pool_.run without an allocation: a std::function of a reference fits into itself.
  template <typename Body>
  void parallel(size_t count, size_t grain, const Body& body,
                std::span<const ThreadPool::Memory> soon = {}) {
    pool_.run(count, grain, std::cref(body), soon);
  }

  ThreadPool& pool_;
  CpuKernels kernels_;
  std::vector<ThreadPool::Memory> begins_;  // of a matmul, kept for its memory
  std::array<RopeMemo, 2> rope_memos_;      // of pairs 0 to 63, 64 to 127; the next ones again
};

}  // namespace spillway::ops::cpu
