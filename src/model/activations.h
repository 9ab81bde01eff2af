// The buffers of one forward pass. They lie in one block of memory that the caller owns; one
// thread.
#pragma once

#include <cstddef>
#include <span>

#include "model/config.h"
#include "ops/ops.h"

namespace spillway::model {

// For at most `tokens` tokens, of which at most `outputs` give logits.
class Activations {
 public:
  // Bytes that the block must have.
  static size_t size_bytes(const ModelConfig& config, const ops::Ops& ops, size_t tokens,
                           size_t outputs);
  // `block` is 64-byte aligned and size_bytes() long.
  Activations(const ModelConfig& config, const ops::Ops& ops, size_t tokens, size_t outputs,
              std::span<std::byte> block);

  size_t tokens;
  size_t outputs;
  std::span<float> residual;      // [tokens, dim]
  std::span<float> normed;        // [tokens, dim]
  std::span<float> q;             // [tokens, heads, head_dim]
  std::span<float> k;             // [tokens, kv_heads, head_dim]
  std::span<float> v;             // [tokens, kv_heads, head_dim]
  std::span<float> attended;      // [tokens, heads, head_dim]
  std::span<float> gate;          // [tokens, ffn_dim]
  std::span<float> up;            // [tokens, ffn_dim]
  std::span<float> logits;        // [outputs, vocabulary]
  std::span<std::byte> prepared;  // a matmul input's quantised form
};

}  // namespace spillway::model
