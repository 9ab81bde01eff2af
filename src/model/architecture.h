// What tells one dense decoder from another: a row of flags each. One step (transformer.h) runs
// them all. Values; any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ops/ops.h"

namespace spillway::model {

enum class Activation {
  kSwiglu,  // silu(gate) × up
  kGeglu    // gelu(gate) × up, gelu by its tanh form
};

struct Architecture {
  std::string_view name;        // GGUF's general.architecture
  std::string_view model_type;  // config.json's
  std::string_view models;      // for people
  // How a GGUF file orders the rows of a query or key head. Hugging Face's order is kHalves always.
  ops::RopeLayout rope_layout = ops::RopeLayout::kHalves;
  Activation activation = Activation::kSwiglu;
  bool qkv_bias = false;          // always there; other biases are used where a file has them
  bool qk_norm = false;           // RMSNorm of every query and key head before RoPE
  bool post_norms = false;        // RMSNorm of what attention and feed-forward add
  bool fused = false;             // one matrix holds q, k and v, one gate and up
  bool scaled_embedding = false;  // × √dim
  bool norms_less_one = false;  // Hugging Face stores the norms' weights less one, GGUF as they are
  size_t no_rope_every = 0;     // every so many-th layer has no RoPE; 0: all have it

  // What holds unless the file says otherwise.
  double rope_base = 10000.0;       // theta
  double local_rope_base = 0.0;     // of layers with a window; 0: as the others
  size_t window = 0;                // positions; 0: none
  size_t full_attention_every = 0;  // every so many-th layer has no window; 0: all have it
  bool window_by_switch = false;    // config.json's window counts only with use_sliding_window
  double attention_soft_cap = 0.0;  // 0: none
  double final_soft_cap = 0.0;
  // GGUF files do not give the scale of queries: it is that of head_dim, but of dim / heads in the
  // model with so many layers.
  size_t layers_of_widest = 0;
};

std::span<const Architecture> architectures();
// null: not one of ours.
const Architecture* find_architecture(std::string_view name);
const Architecture* find_model_type(std::string_view model_type);
// "'llama' (Llama 2 and 3, …), 'qwen2' (…)": for messages.
std::string supported_architectures();

}  // namespace spillway::model
