// Attention of one token over a part of what it sees (Dao et al. 2023, Flash-Decoding): tokens are
// cut into chunks, which threads attend to each on its own; then heads are merged over the chunks.
// Where the cuts are does not depend on the threads.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/units.h"
#include "ops/cpu/cpu_ops.h"

namespace spillway::ops::cpu {
namespace {

constexpr size_t kLeastTokens = 128;  // of a chunk: its first bytes are not called in ahead of use
constexpr size_t kMostChunks = 512;   // enough for many threads to be done together
constexpr size_t kScratchFloats = kMiB;

size_t chunk_tokens(const KvPart& part, size_t heads) {
  size_t tokens = 0;
  for (const KvStretch& stretch : part.stretches) tokens += stretch.tokens;
  const size_t chunks =
      std::clamp<size_t>(kScratchFloats / (heads * part.head_dim), 16, kMostChunks);
  return std::max(kLeastTokens, (tokens + chunks - 1) / chunks);
}

size_t chunks_of(const KvStretch& stretch, size_t tokens) {
  return (stretch.tokens + tokens - 1) / tokens;
}

size_t chunk_count(const KvPart& part, size_t tokens) {
  size_t count = 0;
  for (const KvStretch& stretch : part.stretches) count += chunks_of(stretch, tokens);
  return count;
}

KvStretch chunk_at(const PartTask& task, size_t tokens, size_t index) {
  for (const KvStretch& stretch : task.part.stretches) {
    const size_t count = chunks_of(stretch, tokens);
    if (index < count) {
      const size_t first = index * tokens;
      const size_t offset = first * task.token_bytes();
      return {stretch.keys + offset, stretch.values + offset,
              std::min(tokens, stretch.tokens - first)};
    }
    index -= count;
  }
  SPILLWAY_CHECK(false);
}

// out = Σ over chunks, in their order, relative to the largest score of all; returns the log of the
// sum of weights. `sums`: the head's in the first chunk; they are `stride` apart.
float merge(const float* sums, size_t stride, size_t chunks, std::span<float> out) {
  const size_t dim = out.size();
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t c = 0; c < chunks; ++c) largest = std::max(largest, sums[c * stride + dim]);
  float total = 0.0F;
  std::ranges::fill(out, 0.0F);
  for (size_t c = 0; c < chunks; ++c) {
    const float* chunk = sums + c * stride;
    const float factor = std::exp(chunk[dim] - largest);
    total += factor * chunk[dim + 1];
    for (size_t i = 0; i < dim; ++i) out[i] += factor * chunk[i];
  }
  for (float& value : out) value /= total;
  return largest + std::log(total);
}

}  // namespace

size_t CpuOps::part_floats(const KvPart& part, size_t heads) const {
  return chunk_count(part, chunk_tokens(part, heads)) * heads * (part.head_dim + 2);
}

void CpuOps::attend_part(std::span<const float> q, float scale, const KvPart& part,
                         std::span<float> scratch, const PartFound& found) {
  const size_t dim = part.head_dim;
  const PartTask task{q.data(), found.log_sums.size(), scale, part};
  SPILLWAY_CHECK(q.size() == task.heads * dim && found.out.size() == q.size());
  SPILLWAY_CHECK(task.heads % part.kv_heads == 0 && task.group() <= kMostPartGroup);
  SPILLWAY_CHECK(!is_quantised(part.dtype) && scratch.size() >= part_floats(part, task.heads));
  const size_t tokens = chunk_tokens(part, task.heads);
  const size_t chunks = chunk_count(part, tokens);
  const size_t stride = task.heads * task.sums_floats();
  parallel(chunks, 1, [&](size_t begin, size_t end) {
    for (size_t c = begin; c < end; ++c)
      kernels_.attend_chunk(task, chunk_at(task, tokens, c), scratch.data() + c * stride);
  });
  parallel(task.heads, 1, [&](size_t begin, size_t end) {
    for (size_t h = begin; h < end; ++h) {
      found.log_sums[h] = merge(scratch.data() + h * task.sums_floats(), stride, chunks,
                                found.out.subspan(h * dim, dim));
    }
  });
}

}  // namespace spillway::ops::cpu
