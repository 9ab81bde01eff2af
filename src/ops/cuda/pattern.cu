// Kernels that write, check and read patterns of words: tests that memory keeps what is written
// while it moves, and the rate at which a range can be read. Launched by ops/pattern_kernels.cpp;
// any grid, one dimension.
#include <cstdint>

#include "ops/cuda/grid.cuh"
#include "ops/pattern_word.h"

namespace {

// atomicAdd knows no uint64_t where that is unsigned long.
using Word = unsigned long long;
static_assert(sizeof(Word) == sizeof(uint64_t));

}  // namespace

extern "C" __global__ void fill_pattern(Word* words, uint64_t count, uint64_t seed,
                                        uint64_t first) {
  for (uint64_t i = first_index(); i < count; i += all_threads()) {
    words[i] = spillway::ops::pattern_word(seed, first + i);
  }
}

extern "C" __global__ void check_pattern(const Word* words, uint64_t count, uint64_t seed,
                                         uint64_t first, Word* mismatches) {
  Word wrong = 0;
  for (uint64_t i = first_index(); i < count; i += all_threads()) {
    if (words[i] != spillway::ops::pattern_word(seed, first + i)) ++wrong;
  }
  if (wrong != 0) atomicAdd(mismatches, wrong);
}

// Words in pairs, four loads in flight a thread: enough to saturate HBM with a full grid, and a
// link with a few blocks.
extern "C" __global__ void sum_words(const Word* words, uint64_t count, Word* sum) {
  constexpr int kLoads = 4;
  const auto* pairs = reinterpret_cast<const ulonglong2*>(words);
  const uint64_t pair_count = count / 2;
  const uint64_t step = all_threads();
  Word own = 0;
  uint64_t i = first_index();
  for (; i + (kLoads - 1) * step < pair_count; i += kLoads * step) {
    ulonglong2 loaded[kLoads];
#pragma unroll
    for (int load = 0; load < kLoads; ++load) loaded[load] = pairs[i + load * step];
#pragma unroll
    for (int load = 0; load < kLoads; ++load) own += loaded[load].x + loaded[load].y;
  }
  for (; i < pair_count; i += step) own += pairs[i].x + pairs[i].y;
  if (count % 2 != 0 && first_index() == 0) own += words[count - 1];
  for (int distance = 16; distance > 0; distance /= 2) {
    own += __shfl_down_sync(0xFFFFFFFFU, own, distance);
  }
  if (threadIdx.x % 32 == 0) atomicAdd(sum, own);
}
