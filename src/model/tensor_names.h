// What GGUF and Hugging Face call the same tensor: "blk.7.attn_q.weight" is
// "model.layers.7.self_attn.q_proj.weight". The one table of it, for loading and for converting.
// Functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/architecture.h"

namespace spillway::model {

// none: the architecture has no such tensor. Biases are named as the weights beside them.
std::optional<std::string> gguf_tensor_name(const Architecture& architecture,
                                            std::string_view huggingface);
std::optional<std::string> huggingface_tensor_name(const Architecture& architecture,
                                                   std::string_view gguf);

// The 7 of "blk.7.attn_q.weight"; none for tensors outside of layers.
std::optional<size_t> layer_of_tensor(std::string_view gguf);

}  // namespace spillway::model
