// Packed bfloat16 weights (ops/packed_layout.h) back to what they were, read wherever they lie: in
// HBM, or in place over the link, which a few blocks of this grid saturate. Launched by
// ops/unpack.cpp; any grid of kThreads a block, one dimension.
//
// Four groups of threads a block have a packed block each: a thread is a lane. Each reads its next
// block before it unpacks the one that it has, as a link takes microseconds to answer.
#include <cstdint>

#include "ops/packed_layout.h"

namespace {

using namespace spillway::ops;

constexpr uint32_t kThreads = 512;
constexpr uint32_t kGroups = kThreads / kPackedLanes;
constexpr uint32_t kWarps = kPackedLanes / 32;  // a group
constexpr uint32_t kEscapeWords = kMostEscapeBytes / 4;

struct Loaded {
  uint4 rest[2];  // signs and mantissas, by half
  uint32_t planes[kPackedPlanes];
  uint32_t escapes;  // the lane's word of those inside the block
};

static_assert(kEscapeWords <= kPackedLanes, "a lane reads one word of the escapes");

__device__ Loaded load(const uint8_t* block, uint32_t escape_bytes, uint32_t lane) {
  Loaded loaded;
  const auto* rest = reinterpret_cast<const uint4*>(block);
#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    loaded.rest[half] = __ldcs(rest + half * kPackedLanes + lane);
  }
  const auto* words = reinterpret_cast<const uint32_t*>(block + kPackedBlock);
#pragma unroll
  for (uint32_t p = 0; p < kPackedPlanes; ++p) {
    loaded.planes[p] = __ldcs(words + p * kPackedLanes + lane);
  }
  loaded.escapes = 0;
  if (lane * 4 < escape_bytes) loaded.escapes = __ldcs(words + kPackedPlanes * kPackedLanes + lane);
  return loaded;
}

// Two elements: byte `n` of the signs and mantissas and the next one, with exponents in byte `word`
// of each of their words.
__device__ uint32_t join(uint32_t rest, uint32_t n, uint32_t word, uint32_t first,
                         uint32_t second) {
  const uint32_t spread = __byte_perm(rest, 0, 0x4040 | n | (n + 1) << 8);
  const uint32_t exponents = __byte_perm(first, second, word | (4 + word) << 8) & 0x00FF00FF;
  return (spread & 0x00800080) << 8 | (spread & 0x007F007F) | exponents << 7;
}

__device__ void store(uint16_t* target, uint64_t first, uint64_t count,
                      const uint32_t (&pairs)[8]) {
  if (first + 16 <= count) {
    auto* to = reinterpret_cast<uint4*>(target + first);
    __stcs(to, make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]));
    __stcs(to + 1, make_uint4(pairs[4], pairs[5], pairs[6], pairs[7]));
    return;
  }
#pragma unroll
  for (uint32_t i = 0; i < 16; ++i) {
    if (first + i < count) target[first + i] = static_cast<uint16_t>(pairs[i / 2] >> 16 * (i % 2));
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kThreads)
    unpack_bf16(const uint8_t* blocks, const uint8_t* overflow, uint16_t* target, uint64_t count,
                uint64_t exponents, uint32_t escape_bytes) {
  // Twice: the next round writes while the last one is still read.
  __shared__ uint32_t escape_words[2][kGroups][kEscapeWords];
  __shared__ uint32_t warp_counts[2][kGroups][kWarps];
  const uint32_t group = threadIdx.x / kPackedLanes;
  const uint32_t lane = threadIdx.x % kPackedLanes;
  const uint64_t block_bytes = kPackedFixedBytes + escape_bytes;
  const uint64_t all = packed_blocks(count);
  const uint64_t step = uint64_t{gridDim.x} * kGroups;
  const auto low = static_cast<uint32_t>(exponents);
  const auto high = static_cast<uint32_t>(exponents >> 32);

  uint64_t block = uint64_t{blockIdx.x} * kGroups + group;
  Loaded next = {};
  if (block < all) next = load(blocks + block * block_bytes, escape_bytes, lane);
  // All groups make the same number of rounds: they wait for each other.
  uint32_t round = 0;
  for (uint64_t first = uint64_t{blockIdx.x} * kGroups; first < all; first += step) {
    const bool works = block < all;
    const Loaded now = next;
    if (block + step < all) next = load(blocks + (block + step) * block_bytes, escape_bytes, lane);

    const uint32_t escapes = works ? now.planes[0] & now.planes[1] & now.planes[2] : 0;
    const uint32_t own = __popc(escapes);
    uint32_t until = own;  // escapes of this lane and those before it in its warp
#pragma unroll
    for (uint32_t distance = 1; distance < 32; distance *= 2) {
      const uint32_t other = __shfl_up_sync(0xFFFFFFFFU, until, distance);
      if (lane % 32 >= distance) until += other;
    }
    if (lane % 32 == 31) warp_counts[round][group][lane / 32] = until;
    if (lane < kEscapeWords) escape_words[round][group][lane] = now.escapes;
    __syncthreads();

    if (works) {
      uint32_t total = 0;
      uint32_t rank = until - own;
#pragma unroll
      for (uint32_t warp = 0; warp < kWarps; ++warp) {
        const uint32_t others = warp_counts[round][group][warp];
        if (warp < lane / 32) rank += others;
        total += others;
      }
      const uint32_t* words = escape_words[round][group];
      const uint8_t* found =
          total <= escape_bytes ? reinterpret_cast<const uint8_t*>(words) : overflow + words[0];
      found += rank;

      // [half][n]: the exponents of elements n, n + 4, n + 8, n + 12 of the lane's 16, a byte each.
      uint32_t found_exponents[2][4];
#pragma unroll
      for (uint32_t n = 0; n < 4; ++n) {
        const uint32_t codes = (now.planes[0] >> n & 0x11111111) |
                               (now.planes[1] >> n & 0x11111111) << 1 |
                               (now.planes[2] >> n & 0x11111111) << 2;
        found_exponents[0][n] = __byte_perm(low, high, codes & 0xFFFF);
        found_exponents[1][n] = __byte_perm(low, high, codes >> 16);
      }
      if (escapes != 0) {
#pragma unroll
        for (uint32_t bit = 0; bit < 32; ++bit) {
          if (escapes >> bit & 1) {
            found_exponents[bit / 16][bit % 4] |= uint32_t{*found++} << 8 * (bit % 16 / 4);
          }
        }
      }
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t rest[4] = {now.rest[half].x, now.rest[half].y, now.rest[half].z,
                                  now.rest[half].w};
        const uint32_t(&e)[4] = found_exponents[half];
        uint32_t pairs[8];
#pragma unroll
        for (uint32_t word = 0; word < 4; ++word) {
          pairs[2 * word] = join(rest[word], 0, word, e[0], e[1]);
          pairs[2 * word + 1] = join(rest[word], 2, word, e[2], e[3]);
        }
        store(target, block * kPackedBlock + half * kPackedHalf + lane * 16, count, pairs);
      }
    }
    block += step;
    round ^= 1;
  }
}
