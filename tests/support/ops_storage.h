// Memory as ops want it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/ops.h"

namespace spillway::testing {

// What prepare_input fills: 64-byte aligned.
struct Prepared {
  std::vector<std::byte> storage;
  std::span<std::byte> bytes;
};

inline Prepared prepared_storage(size_t size) {
  Prepared p{std::vector<std::byte>(size + 64), {}};
  const size_t skew = reinterpret_cast<uintptr_t>(p.storage.data()) % 64;
  p.bytes = std::span(p.storage).subspan((64 - skew) % 64, size);
  return p;
}

// A paged cache of one layer whose blocks lie apart, with bytes before, between and after keys and
// values. As floats, what nobody has stored is no number or huge.
struct KvPages {
  KvPages(DType dtype, size_t positions, size_t block_tokens, size_t kv_heads, size_t head_dim) {
    constexpr size_t kApart = 16;
    const size_t half = row_bytes(dtype, kv_heads * block_tokens * head_dim);
    const size_t blocks = (positions + block_tokens - 1) / block_tokens;
    storage.resize(blocks, std::vector<std::byte>(2 * half + 3 * kApart, std::byte{0x7F}));
    for (auto& block : storage) pointers.push_back(block.data());
    layer = {.blocks = pointers,
             .key_offset = kApart,
             .value_offset = 2 * kApart + half,
             .block_tokens = block_tokens,
             .kv_heads = kv_heads,
             .head_dim = head_dim,
             .dtype = dtype};
  }
  std::vector<std::vector<std::byte>> storage;
  std::vector<std::byte*> pointers;
  ops::KvLayer layer;
};

}  // namespace spillway::testing
