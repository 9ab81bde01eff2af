#include "ops/cpu/cpu_ops.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "ops/interleaved.h"

namespace spillway::ops::cpu {
namespace {

// As kRangeElements, about 5 µs each:
constexpr size_t kRangeWeightBytes = 48 * kKiB;  // of a matmul with one token
constexpr size_t kSoonBytes = 128 * kKiB;        // of the next one that waiting threads call in
constexpr size_t kRangeProducts = 64 * kKiB;     // of attention: query × key elements
constexpr size_t kInterleaveBytes = 512 * kKiB;  // of weights that change their form
constexpr size_t kRowsTogether = 8;              // that a kernel of matmul computes in one go
constexpr size_t kPanelRows = 16;                // likewise, with several tokens, or interleaved
constexpr size_t kManyRows = 64;                 // that share what is made ready of several tokens
static_assert(kPanelRows == kInterleavedRows);
constexpr size_t kAttentionRows = 48;  // likewise, of attention

}  // namespace

void CpuOps::rms_norm(std::span<const float> x, std::span<const float> weight, float epsilon,
                      std::span<float> y) {
  const size_t width = weight.size();
  SPILLWAY_CHECK(width > 0 && x.size() % width == 0 && y.size() == x.size());
  parallel(x.size() / width, token_grain(width), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      kernels_.rms_norm(x.data() + t * width, weight.data(), epsilon, y.data() + t * width, width);
    }
  });
}

void CpuOps::dequantise_row(DType dtype, const std::byte* row, std::span<float> out) {
  SPILLWAY_CHECK(out.size() % dtype_info(dtype).block_elements == 0);
  kernels_.dequantise[slot(dtype)](row, out.data(), out.size());
}

bool CpuOps::prefers_interleaved(DType dtype, size_t rows) const {
  return kernels_.interleaved[slot(dtype)] && rows > 0 && rows % kInterleavedRows == 0;
}

void CpuOps::interleave(const WeightRows& weight, std::byte* to) {
  SPILLWAY_CHECK(!weight.interleaved && prefers_interleaved(weight.dtype, weight.rows));
  const size_t bytes = kInterleavedRows * row_bytes(weight.dtype, weight.columns);
  const bool in_place = weight.data == to;
  parallel(weight.rows / kInterleavedRows, std::max<size_t>(1, kInterleaveBytes / bytes),
           [&](size_t begin, size_t end) {
             std::vector<std::byte> group(in_place ? bytes : 0);
             for (size_t at = begin * bytes; at < end * bytes; at += bytes) {
               const std::byte* from = weight.data + at;
               if (in_place) {
                 std::copy_n(from, bytes, group.data());
                 from = group.data();
               }
               interleave_group(weight.dtype, weight.columns, from, to + at,
                                kernels_.interleave_words);
             }
           });
}

size_t CpuOps::prepared_bytes(DType dtype, size_t tokens, size_t columns) const {
  return is_quantised(dtype) ? tokens * prepared_token_bytes(columns) : 0;
}

void CpuOps::prepare_input(DType dtype, std::span<std::byte> prepared, MatmulInput& input) {
  const size_t columns = input.columns;
  const InputNorm* norm = input.norm;
  SPILLWAY_CHECK(norm == nullptr || norm->weight.size() == columns);
  if (!is_quantised(dtype)) {
    if (norm == nullptr) return;
    const size_t size = input.tokens * columns;
    rms_norm({input.floats, size}, norm->weight, norm->epsilon, {norm->out, size});
    input.floats = norm->out;
    input.norm = nullptr;
    return;
  }
  if (input.quantised != nullptr) return;
  SPILLWAY_CHECK(columns % kScaleColumns == 0);
  SPILLWAY_CHECK(prepared.size() >= prepared_bytes(dtype, input.tokens, columns));
  parallel(input.tokens, token_grain(columns), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      const float* x = input.floats + t * columns;
      const auto out = prepared_token(prepared.data(), t, columns);
      if (norm == nullptr) {
        kernels_.quantise(x, columns, out);
      } else {
        kernels_.norm_quantise(x, norm->weight.data(), norm->epsilon, columns, out);
      }
    }
  });
  input.quantised = prepared.data();
}

void CpuOps::matmul(const MatmulInput& input, std::span<const Product> products,
                    std::span<const Product> soon) {
  for (const Product& product : products) {
    const WeightRows& weight = product.weight;
    SPILLWAY_CHECK(input.columns == weight.columns && weight.columns > 0);
    SPILLWAY_CHECK(weight.columns % dtype_info(weight.dtype).block_elements == 0);
    SPILLWAY_CHECK(is_quantised(weight.dtype) ? input.quantised != nullptr
                                              : input.floats != nullptr);
    SPILLWAY_CHECK(!weight.interleaved || weight.rows % kInterleavedRows == 0);
  }
  const Cut all = input.tokens == 1 ? cut_for_one(products) : cut(products, input.tokens);
  parallel(
      all.count, all.grain,
      [&](size_t begin, size_t end) {
        for (size_t i = 0; begin < end; ++i) {
          const Pieces& pieces = all.of[i];
          if (begin >= pieces.end) continue;
          const Product& product = products[i];
          const size_t last = std::min(end, pieces.end);
          kernels_.matmul[slot(product.weight.dtype)](
              {input, product.weight, product.y, product.y_stride},
              (begin - pieces.begin) * pieces.rows,
              std::min((last - pieces.begin) * pieces.rows, product.weight.rows));
          begin = last;
        }
      },
      begins_of(soon));
}

// In pieces as small as can be, of which threads take many at once: all have as much to do, also
// where the matrices are small. (Not quite where their pieces differ: what is left is then taken by
// who has time.)
CpuOps::Cut CpuOps::cut_for_one(std::span<const Product> products) {
  SPILLWAY_CHECK(products.size() <= kMostProducts);
  Cut all;
  all.grain = SIZE_MAX;
  for (size_t i = 0; i < products.size(); ++i) {
    const WeightRows& weight = products[i].weight;
    const size_t rows = weight.interleaved ? kPanelRows : kRowsTogether;
    const size_t bytes = rows * row_bytes(weight.dtype, weight.columns);
    all.add(i, weight.rows, rows);
    all.grain = std::min(all.grain, std::max<size_t>(1, kRangeWeightBytes / bytes));
  }
  return all;
}

CpuOps::Cut CpuOps::cut(std::span<const Product> products, size_t tokens) const {
  SPILLWAY_CHECK(products.size() <= kMostProducts);
  size_t all_rows = 0;
  for (const Product& product : products) all_rows += product.weight.rows;
  const size_t share = all_rows / (size_t{4} * pool_.threads());
  Cut all;
  for (size_t i = 0; i < products.size(); ++i) {
    const WeightRows& weight = products[i].weight;
    // A token costs less when it shares its weights with others.
    const size_t row_cost = row_bytes(weight.dtype, weight.columns) * (1 + tokens / 2);
    const size_t fit = std::max(kRangeWeightBytes / row_cost, std::min(kManyRows, share));
    const size_t rows = round_up(std::max<size_t>(1, fit), kPanelRows);
    all.add(i, weight.rows, rows);
  }
  return all;
}

std::span<const ThreadPool::Memory> CpuOps::begins_of(std::span<const Product> products) {
  begins_.clear();
  const Cut all = cut_for_one(products);
  for (size_t thread = 0; all.count > all.grain && thread < pool_.threads(); ++thread) {
    const size_t piece = pool_.part_begin(all.count, all.grain, thread);
    if (piece == all.count) break;
    size_t i = 0;
    while (piece >= all.of[i].end) ++i;
    const WeightRows& weight = products[i].weight;
    const size_t row = row_bytes(weight.dtype, weight.columns);
    const size_t first = (piece - all.of[i].begin) * all.of[i].rows;
    begins_.emplace_back(weight.data + first * row,
                         std::min(kSoonBytes, (weight.rows - first) * row));
  }
  return begins_;
}

void CpuOps::attention(std::span<const float> q, const AttentionOptions& options,
                       const KvLayer& layer, std::span<float> out) {
  const size_t width = options.heads * layer.head_dim;
  SPILLWAY_CHECK(q.size() == out.size() && q.size() % width == 0);
  SPILLWAY_CHECK(options.heads % layer.kv_heads == 0);
  SPILLWAY_CHECK(kernels_.store_kv[slot(layer.dtype)] != nullptr && whole_blocks(layer));
  const size_t tokens = q.size() / width;
  SPILLWAY_CHECK(options.first_position + tokens <= layer.blocks.size() * layer.block_tokens);
  const AttentionTask task{q.data(), options, layer, out.data()};

  // Rows of one KV head lie side by side, so that a range reads each key once for several rows; a
  // range that would cross into the next head is cut there.
  const size_t rows = tokens * task.group();
  const size_t row_cost = (task.end_seen(tokens - 1) - task.first_seen(0)) * layer.head_dim;
  // One range a thread reads each key once; where that takes long, another thread can help.
  const size_t shares = pool_.threads() * (row_cost < kRangeProducts ? size_t{1} : size_t{2});
  const size_t most = (layer.kv_heads * rows + shares - 1) / shares;
  const size_t grain = std::clamp(kRangeProducts / row_cost, std::min(kAttentionRows, most), most);
  parallel(layer.kv_heads * rows, grain, [&](size_t begin, size_t end) {
    while (begin < end) {
      const size_t kv_head = begin / rows;
      const size_t stop = std::min(end, (kv_head + 1) * rows);
      kernels_.attention(task, kv_head, begin - kv_head * rows, stop - kv_head * rows);
      begin = stop;
    }
  });
}

void CpuOps::swiglu(std::span<float> gate, std::span<const float> up) {
  SPILLWAY_CHECK(gate.size() == up.size());
  parallel(gate.size(), kRangeElements, [&](size_t begin, size_t end) {
    kernels_.swiglu(gate.data() + begin, up.data() + begin, end - begin);
  });
}

void CpuOps::geglu(std::span<float> gate, std::span<const float> up) {
  SPILLWAY_CHECK(gate.size() == up.size());
  parallel(gate.size(), kRangeElements, [&](size_t begin, size_t end) {
    kernels_.geglu(gate.data() + begin, up.data() + begin, end - begin);
  });
}

void CpuOps::soft_cap(std::span<float> x, float cap) {
  SPILLWAY_CHECK(cap > 0);
  parallel(x.size(), kRangeElements, [&](size_t begin, size_t end) {
    kernels_.soft_cap(x.data() + begin, cap, end - begin);
  });
}

void CpuOps::scale(std::span<float> x, float factor) {
  parallel(x.size(), kRangeElements, [&](size_t begin, size_t end) {
    kernels_.scale(x.data() + begin, factor, end - begin);
  });
}

void CpuOps::add_bias(std::span<float> x, std::span<const float> bias) {
  const size_t width = bias.size();
  SPILLWAY_CHECK(width > 0 && x.size() % width == 0);
  parallel(x.size() / width, token_grain(width), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) kernels_.add(x.data() + t * width, bias.data(), width);
  });
}

void CpuOps::interleave_halves(std::span<float> x, size_t head_dim) {
  SPILLWAY_CHECK(head_dim % 2 == 0 && head_dim <= kMostInterleaved && x.size() % head_dim == 0);
  parallel(x.size() / head_dim, token_grain(head_dim), [&](size_t begin, size_t end) {
    std::array<float, kMostInterleaved> halves;
    for (size_t h = begin; h < end; ++h) {
      float* head = x.data() + h * head_dim;
      std::copy_n(head, head_dim, halves.data());
      for (size_t i = 0; i < head_dim / 2; ++i) {
        head[2 * i] = halves[i];
        head[2 * i + 1] = halves[head_dim / 2 + i];
      }
    }
  });
}

void CpuOps::add(std::span<float> x, std::span<const float> y) {
  SPILLWAY_CHECK(x.size() == y.size());
  parallel(x.size(), kRangeElements, [&](size_t begin, size_t end) {
    kernels_.add(x.data() + begin, y.data() + begin, end - begin);
  });
}

void CpuOps::softmax(std::span<float> x) {
  kernels_.softmax(x.data(), x.size());
}

}  // namespace spillway::ops::cpu
